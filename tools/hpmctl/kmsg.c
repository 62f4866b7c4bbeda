// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "kmsg.h"

int kmsg_mark(void)
{
	int fd = open("/dev/kmsg", O_RDONLY | O_NONBLOCK | O_CLOEXEC);

	if (fd >= 0 && lseek(fd, 0, SEEK_END) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

void kmsg_close(int mark)
{
	if (mark >= 0)
		(void)close(mark);
}

/*
 * Removes " (-EINVAL)" or " (error -22)" from the end: the errno is printed
 * anyway.
 */
static void cut_errno(char *text)
{
	char *p = strrchr(text, '(');

	if (p && p > text && p[-1] == ' ' &&
	    (p[1] == '-' || !strncmp(p + 1, "error ", 6)) &&
	    !strcmp(p + strcspn(p, ")"), ")"))
		p[-1] = '\0';
}

/* Skips "253:1: ", the device's number, which tells the user nothing. */
static char *skip_number(char *text)
{
	size_t len = strspn(text, "0123456789:");

	return len && text[len - 1] == ':' && text[len] == ' ' ?
		       text + len + 1 :
		       text;
}

/* Skips the prefixes of device-mapper's core and of our targets */
static char *skip_prefixes(char *text)
{
	static const char *const prefix[] = { "hpmapper-pool: ", "hpmapper: ",
					      "linear: " };
	size_t i;

	for (i = 0; i < sizeof(prefix) / sizeof(prefix[0]); i++) {
		char *p = strstr(text, prefix[i]);

		if (p)
			return p + strlen(prefix[i]);
	}
	return text;
}

const char *kmsg_sentence(char *record)
{
	static const char dm[] = "device-mapper: ";
	char *text = strchr(record, ';');

	if (!text)
		return NULL;
	text++;
	text[strcspn(text, "\n")] = '\0';
	if (strncmp(text, dm, sizeof(dm) - 1) != 0)
		return NULL;
	text = skip_number(skip_prefixes(text + sizeof(dm) - 1));
	cut_errno(text);
	return text;
}

/* Whether it is a sentence that device-mapper's core logs for any failure. */
static bool says_nothing(const char *text)
{
	return !strncmp(text, "ioctl: error adding target", 26);
}

bool kmsg_reason(int mark, char *out, size_t size)
{
	char record[8192];
	bool found = false;
	ssize_t n;

	if (mark < 0)
		return false;
	for (;;) {
		const char *text;

		n = read(mark, record, sizeof(record) - 1);
		if (n < 0 && errno == EPIPE)
			continue; /* older records were overwritten */
		if (n <= 0)
			return found;
		record[n] = '\0';
		text = kmsg_sentence(record);
		if (!text || (found && says_nothing(text)))
			continue;
		(void)snprintf(out, size, "%s", text);
		found = true;
	}
}
