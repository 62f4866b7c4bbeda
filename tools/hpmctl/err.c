// SPDX-License-Identifier: GPL-2.0-only
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "err.h"
#include "escape.h"
#include "text.h"

bool verbose;

static struct err_state err;

static enum status status_of(int errnum)
{
	switch (errnum) {
	case ENOENT:
	case ENODEV:
	case ENXIO:
		return ST_NOT_FOUND;
	case EEXIST:
	case EBUSY:
		return ST_BUSY;
	case EINTR:
		return ST_INTERRUPTED;
	default:
		return ST_FAILED;
	}
}

/*
 * A part of a sentence may come from an archive or a device.  Whatever it is,
 * the sentence stays on one line, moves no cursor, and can be put into JSON.
 */
static void format(char *out, size_t size, const char *fmt, va_list ap)
{
	char raw[2048];

	(void)vsnprintf(raw, sizeof(raw), fmt, ap);
	(void)text_escape(out, size, raw);
}

static bool err_begin(enum status status, int errnum, const char *fmt,
		      va_list ap)
{
	if (err.set)
		return false;
	err.set = true;
	err.status = status;
	err.errnum = errnum;
	err.kernel[0] = '\0';
	/* (leaves room for the text of strerror()) */
	format(err.text, sizeof(err.text) - 128, fmt, ap);
	return true;
}

void err_set_sys(int errnum, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (err_begin(status_of(errnum), errnum, fmt, ap)) {
		size_t len = strlen(err.text);

		(void)snprintf(err.text + len, sizeof(err.text) - len, ": %s",
			       strerror(errnum));
	}
	va_end(ap);
}

void err_set_say(enum status status, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	(void)err_begin(status, 0, fmt, ap);
	va_end(ap);
}

void err_kernel(const char *reason)
{
	if (err.set && !err.kernel[0] && reason)
		(void)text_escape(err.kernel, sizeof(err.kernel), reason);
}

void err_save(struct err_state *to)
{
	*to = err;
	err.set = false;
	err.kernel[0] = '\0';
}

void err_restore(const struct err_state *from)
{
	if (from->set)
		err = *from;
}

bool err_pending(void)
{
	return err.set;
}

enum status err_status(void)
{
	return err.set ? err.status : ST_FAILED;
}

const char *err_text(void)
{
	return err.set ? err.text : "failed for a reason it did not give";
}

const char *err_reason(void)
{
	return err.kernel[0] ? err.kernel : NULL;
}

int err_errno(void)
{
	return err.errnum;
}

json_t *err_json(void)
{
	return json_pack("{s:{s:s, s:i, s:s?, s:s?}}", "error", "message",
			 err_text(), "status", (int)err_status(), "errno",
			 err.errnum ? strerrorname_np(err.errnum) : NULL,
			 "kernel", err_reason());
}

void err_clear(void)
{
	memset(&err, 0, sizeof(err));
}

static void say(const char *prefix, const char *fmt, va_list ap)
{
	char text[2048];

	format(text, sizeof(text), fmt, ap);
	(void)fflush(stdout);
	(void)fprintf(stderr, "%s%s\n", prefix, text);
}

void warn(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	say("hpmctl: note: ", fmt, ap);
	va_end(ap);
}

void note(const char *fmt, ...)
{
	va_list ap;

	if (!verbose)
		return;
	va_start(ap, fmt);
	say("hpmctl: ", fmt, ap);
	va_end(ap);
}
