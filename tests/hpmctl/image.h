/* SPDX-License-Identifier: GPL-2.0-only */
/* Archives and image layouts, made for a test. */
#ifndef HPMCTL_TEST_IMAGE_H
#define HPMCTL_TEST_IMAGE_H

#include <archive.h>
#include <archive_entry.h>
#include <dirent.h>
#include <fcntl.h>
#include <nettle/sha2.h>
#include <sys/stat.h>
#include <unistd.h>

#include "test.h"

/* One entry: a file unless said otherwise. */
struct item {
	const char *path;
	mode_t mode;	  /* with its type; 0: a file of 0644 */
	const char *data; /* contents, or a symbolic link's target */
	const char *hard; /* target of a hard link */
	dev_t dev;
	uid_t uid;
};

static inline void add_item(struct archive *a, const struct item *i)
{
	struct archive_entry *e = archive_entry_new();
	mode_t mode = i->mode ? i->mode : S_IFREG | 0644;
	size_t size = i->data && !i->hard ? strlen(i->data) : 0;

	archive_entry_copy_pathname(e, i->path);
	archive_entry_set_mode(e, mode);
	archive_entry_set_uid(e, i->uid ? i->uid : getuid());
	archive_entry_set_gid(e, getgid());
	archive_entry_set_mtime(e, 1000000000, 0);
	if (i->hard)
		archive_entry_copy_hardlink(e, i->hard);
	else if (S_ISLNK(mode))
		archive_entry_copy_symlink(e, i->data);
	else if (S_ISREG(mode))
		archive_entry_set_size(e, (la_int64_t)size);
	if (S_ISCHR(mode) || S_ISBLK(mode))
		archive_entry_set_rdev(e, i->dev);
	/* (a name that is not UTF-8 is a warning) */
	assert_true(archive_write_header(a, e) >= ARCHIVE_WARN);
	if (S_ISREG(mode) && size)
		assert_int_equal(archive_write_data(a, i->data, size), size);
	archive_entry_free(e);
}

/* @filter: a libarchive name such as "gzip", NULL: none */
static inline void write_tar(const char *path, const char *filter,
			     const struct item *items)
{
	struct archive *a = archive_write_new();

	assert_non_null(a);
	assert_int_equal(archive_write_set_format_pax_restricted(a), 0);
	if (filter)
		assert_int_equal(archive_write_add_filter_by_name(a, filter),
				 0);
	assert_int_equal(archive_write_open_filename(a, path), 0);
	for (; items->path; items++)
		add_item(a, items);
	assert_int_equal(archive_write_close(a), 0);
	assert_int_equal(archive_write_free(a), 0);
}

static inline char *slurp(const char *path, size_t *size)
{
	FILE *f = fopen(path, "r");
	char *text = calloc(1, 1 << 20);
	size_t n;

	assert_non_null(f);
	assert_non_null(text);
	n = fread(text, 1, (1 << 20) - 1, f);
	assert_int_equal(fclose(f), 0);
	if (size)
		*size = n;
	return text;
}

static inline void spit(const char *path, const char *data, size_t size)
{
	FILE *f = fopen(path, "w");

	assert_non_null(f);
	assert_int_equal(fwrite(data, 1, size, f), size);
	assert_int_equal(fclose(f), 0);
}

static inline void sha256_text(const char *data, size_t size, char out[72])
{
	uint8_t sum[SHA256_DIGEST_SIZE];
	struct sha256_ctx ctx;
	size_t i;

	sha256_init(&ctx);
	sha256_update(&ctx, size, (const uint8_t *)data);
	sha256_digest(&ctx, sizeof(sum), sum);
	strcpy(out, "sha256:");
	for (i = 0; i < sizeof(sum); i++)
		(void)snprintf(out + 7 + 2 * i, 3, "%02x", sum[i]);
}

/* Makes a directory that is removed with all that is in it. */
static inline char *make_dir(void)
{
	char *dir = strdup("/tmp/hpmctl-test-XXXXXX");

	assert_non_null(mkdtemp(dir));
	return dir;
}

static inline void drop_dir(char *dir)
{
	char cmd[128];

	(void)snprintf(cmd, sizeof(cmd), "rm -rf '%s'", dir);
	assert_int_equal(system(cmd), 0);
	free(dir);
}

#endif /* HPMCTL_TEST_IMAGE_H */
