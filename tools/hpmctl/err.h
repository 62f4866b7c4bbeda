/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Errors: one sentence for the whole program.
 *
 * A function that fails reports the reason with one of these functions and
 * returns -1; its callers pass on the -1, and main() prints the sentence.  The
 * first sentence is kept: a failure during the clean-up is not the reason.
 *
 * Every sentence is escaped when it is made (text_escape()), so callers can put
 * names from outside into it.
 */
#ifndef HPMCTL_ERR_H
#define HPMCTL_ERR_H

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <jansson.h>

/* The exit statuses, as in hpmctl(8). */
enum status {
	ST_OK = 0,
	ST_FAILED = 1,	  /* the kernel or another program refused */
	ST_USAGE = 2,	  /* the command line is wrong */
	ST_NOT_FOUND = 3, /* no such pool, volume, device or file */
	ST_BUSY = 4,	  /* exists already, or is in use */
	ST_BAD_INPUT = 5, /* bad content of an image or a device */
	ST_INTERRUPTED = 130,
};

struct err_state {
	bool set;
	enum status status;
	int errnum;
	char text[1024];
	char kernel[512]; /* the kernel's reason; may be "" */
};

void err_set_sys(int errnum, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));
void err_set_say(enum status status, const char *fmt, ...)
	__attribute__((format(printf, 2, 3)));

/* All of these are -1, which the compiler can see. */
#define err_sys(...) (err_set_sys(__VA_ARGS__), -1)
#define err_say(...) (err_set_say(__VA_ARGS__), -1)
#define err_nomem()  err_sys(ENOMEM, "cannot go on")

/* Adds the kernel's own words to the failure that was just reported. */
void err_kernel(const char *reason);

/*
 * Sets the sentence aside during a clean-up that must know its own failures;
 * after err_restore() the old sentence, if there was one, is the first again.
 */
void err_save(struct err_state *to);
void err_restore(const struct err_state *from);

bool err_pending(void);
enum status err_status(void);
const char *err_text(void);
const char *err_reason(void); /* the kernel's, or NULL */
int err_errno(void);
json_t *err_json(void);
void err_clear(void);

/*
 * Prints a warning to stderr, for what the user should know although nothing
 * failed.
 */
void warn(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* Prints what is being done, if -v was given. */
void note(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
extern bool verbose;

#endif /* HPMCTL_ERR_H */
