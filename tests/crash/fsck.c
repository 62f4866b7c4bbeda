// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exports a volume's content to a file and runs e2fsck on it.  Only the kernel
 * replays an XFS log, so XFS is checked in a guest (fsck.sh).
 */
#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "replay.h"

static int file = -1;
static u32 wanted;

void fsck_begin(u32 id, const char *path)
{
	file = open(path, O_RDWR | O_CREAT | O_TRUNC, 0666);
	if (file < 0 || ftruncate(file, 64 << 20))
		die("%s: %s", path, strerror(errno));
	wanted = id;
}

void fsck_mapping(u64 vbn, u64 pbn, u32 nr)
{
	u32 i;

	for (i = 0; i < nr; i++)
		if (pwrite(file, image_block(pbn + i), HPM_BLOCK_SIZE,
			   (vbn + i) * HPM_BLOCK_SIZE) != HPM_BLOCK_SIZE)
			die("a copy of volume %u cannot be written", wanted);
}

void fsck_end(void)
{
	close(file);
	file = -1;
}

static int run(const char *how, const char *path)
{
	char command[1000];
	int status;

	snprintf(command, sizeof(command), "e2fsck %s %s >%s.log 2>&1", how,
		 path, path);
	status = system(command);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* Replays the journal, as a mount would; then no error may be left. */
void fsck_ext4(const char *path)
{
	char line[300] = "", log[500];
	int r;
	FILE *f;

	r = run("-y -E journal_only", path);
	if (r == 0 || r == 1)
		r = run("-fn", path);
	if (!r)
		return;
	snprintf(log, sizeof(log), "%s.log", path);
	f = fopen(log, "r");
	while (f && fgets(line, sizeof(line), f))
		fprintf(stderr, "    e2fsck: %s", line);
	if (f)
		fclose(f);
	complain("e2fsck of a volume: status %d", r);
}
