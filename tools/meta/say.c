// SPDX-License-Identifier: GPL-2.0-only
/* Messages, options, sizes. */
#include <ctype.h>
#include <getopt.h>

#include "escape.h"
#include "meta.h"
#include "size.h"

#ifndef HPM_TOOLS_VERSION
#define HPM_TOOLS_VERSION "0"
#endif

struct tool tool;

/*
 * A message may repeat a part of a text or a file name, which must not control
 * the terminal.
 */
static void say(const char *fmt, va_list ap)
{
	char text[2048], escaped[4 * sizeof(text)];

	vsnprintf(text, sizeof(text), fmt, ap);
	fprintf(tool.err, "%s: ", tool.name);
	fputs(text_escape(escaped, sizeof(escaped), text), tool.err);
	fputc('\n', tool.err);
}

int complain(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!tool.quiet)
		say(fmt, ap);
	va_end(ap);
	return -1;
}

void note(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (!tool.quiet)
		say(fmt, ap);
	va_end(ap);
}

static void engine_line(void *ctx, enum hpm_env_level level, const char *line)
{
	size_t n = strcspn(line, "\n");

	(void)ctx;
	if (level <= HPM_ENV_WARN)
		note("%.*s", (int)n, line);
}

void tool_begin(const char *name)
{
	tool.name = name;
	tool.quiet = false;
	if (!tool.out)
		tool.out = stdout;
	if (!tool.err)
		tool.err = stderr;
	hpm_env_set_log(engine_line, NULL);
	/*
	 * Content of the device can make the engine warn; that is an error
	 * here, not a bug.
	 */
	hpm_env_expect_warns(true);
}

/*----------------------------------------------------------------
 * Options
 *--------------------------------------------------------------*/

#define MAX_OPTS 16

static void help_line(const char *name, char letter, const char *arg,
		      const char *text)
{
	char left[64];

	if (letter)
		snprintf(left, sizeof(left), "-%c, --%s%s%s", letter, name,
			 arg ? " " : "", arg ? arg : "");
	else
		snprintf(left, sizeof(left), "    --%s%s%s", name,
			 arg ? " " : "", arg ? arg : "");
	fprintf(tool.out, "  %-28s %s\n", left, text);
}

static void help(const struct usage *u)
{
	const struct opt *o;

	fprintf(tool.out, "usage: %s %s\n\n%s\n\noptions:\n", tool.name,
		u->synopsis, u->what);
	for (o = u->opts; o->name; o++)
		help_line(o->name, o->letter, o->arg, o->help);
	help_line("help", 'h', NULL, "this text");
	help_line("version", 'V', NULL, "the version");
	fprintf(tool.out, "\nexamples:\n%s", u->examples);
}

/* Option @o is the i-th; long ones without a letter are 256 + i. */
static void option_table(const struct usage *u, struct option *lng, char *shrt)
{
	const struct opt *o;
	int n = 0;

	*shrt++ = ':';
	for (o = u->opts; o->name; o++, n++) {
		lng[n] = (struct option){ o->name, o->arg ? 1 : 0, NULL,
					  o->letter ? o->letter : 256 + n };
		if (o->letter)
			*shrt++ = o->letter;
		if (o->letter && o->arg)
			*shrt++ = ':';
	}
	lng[n++] = (struct option){ "help", 0, NULL, 'h' };
	lng[n++] = (struct option){ "version", 0, NULL, 'V' };
	lng[n] = (struct option){ 0 };
	strcpy(shrt, "hV");
}

static const struct opt *option_of(const struct usage *u, int c)
{
	const struct opt *o;
	int n = 0;

	for (o = u->opts; o->name; o++, n++)
		if (o->letter ? c == o->letter : c == 256 + n)
			return o;
	return NULL;
}

/*
 * (getopt has advanced over a long option, but not over a word of several
 * letters)
 */
static int option_bad(char **argv, int c)
{
	const char letter[] = { '-', (char)optopt, '\0' };

	complain("%s %s (see --help)",
		 c == ':' ? "an argument is missing behind" :
			    "there is no option",
		 optopt > 0 && optopt < 256 ? letter : argv[optind - 1]);
	return -1;
}

int options(int argc, char **argv, const struct usage *u)
{
	struct option lng[MAX_OPTS + 3];
	char shrt[3 * MAX_OPTS];
	const struct opt *o;
	int c, i;

	option_table(u, lng, shrt);
	optind = 0;
	opterr = 0;
	while ((c = getopt_long(argc, argv, shrt, lng, NULL)) != -1) {
		if (c == 'h') {
			help(u);
			return -2;
		}
		if (c == 'V') {
			fprintf(tool.out, "%s %s\n", tool.name,
				HPM_TOOLS_VERSION);
			return -2;
		}
		o = option_of(u, c);
		if (!o)
			return option_bad(argv, c);
		if (o->flag)
			*o->flag = true;
		if (o->value)
			*o->value = optarg;
	}
	for (i = optind; i < argc; i++)
		argv[1 + i - optind] = argv[i];
	return argc - optind;
}

int one_device(int argc, char **argv, const struct usage *u)
{
	int n = options(argc, argv, u);

	if (n == -2)
		return ST_OK;
	if (n >= 0 && n != 1)
		complain("one device must be given");
	return n == 1 ? -1 : ST_USAGE;
}

/*----------------------------------------------------------------
 * Numbers
 *--------------------------------------------------------------*/

int parse_number(const char *text, u64 max, u64 *v)
{
	char *end;

	errno = 0;
	*v = strtoull(text, &end, 10);
	if (!isdigit((unsigned char)*text) || *end || errno || *v > max)
		return complain("'%s' is not a number from 0 to %llu", text,
				max);
	return 0;
}

int parse_bytes(const char *text, u64 *bytes)
{
	char why[SIZE_WHY];
	uint64_t v;

	if (size_parse(text, &v, why))
		return complain("%s", why);
	*bytes = v;
	return 0;
}

const char *size_text(u64 bytes, char out[SIZE_TEXT])
{
	static const char *const unit[] = { "B",   "KiB", "MiB",
					    "GiB", "TiB", "PiB" };
	double v = (double)bytes;
	unsigned int i = 0;

	while (v >= 1024 && i < ARRAY_SIZE(unit) - 1) {
		v /= 1024;
		i++;
	}
	snprintf(out, SIZE_TEXT, v == (double)(u64)v ? "%.0f %s" : "%.1f %s", v,
		 unit[i]);
	return out;
}

void print_json_string(FILE *f, const char *s)
{
	const unsigned char *p;

	fputc('"', f);
	for (p = (const unsigned char *)s; *p; p++) {
		if (*p == '"' || *p == '\\')
			fprintf(f, "\\%c", *p);
		else if (*p < 0x20 || *p >= 0x7f)
			fprintf(f, "\\u%04x", *p);
		else
			fputc(*p, f);
	}
	fputc('"', f);
}
