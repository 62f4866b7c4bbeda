// SPDX-License-Identifier: GPL-2.0-only
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#include "choose.h"
#include "err.h"

#define LIST_TEXT 700 /* of the choices in a sentence */
#define NAME_TEXT 512

static const char *text_of(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

json_t *choice_new(const char *digest, json_int_t size, const char *platform,
		   const char *version, json_t *names)
{
	char normal[PLATFORM_TEXT];
	json_t *o;

	platform_normalize(platform, normal);
	o = json_pack("{s:s, s:I, s:s, s:s, s:o}", "digest", digest, "size",
		      size, "platform", normal, "version", version, "names",
		      names);
	if (!o)
		(void)err_say(
			ST_BAD_INPUT,
			"the image has a name or a platform that is not text");
	return o;
}

/*----------------------------------------------------------------
 * Platforms
 *--------------------------------------------------------------*/

/*
 * Unifies synonyms of architectures, and drops variants that are the default.
 */
static const char *arch_normalize(const char *arch)
{
	static const char *const same[][2] = {
		{ "x86_64", "amd64" },	   { "x86-64", "amd64" },
		{ "amd64/v1", "amd64" },   { "i386", "386" },
		{ "i686", "386" },	   { "aarch64", "arm64" },
		{ "arm64/v8", "arm64" },   { "arm64/8", "arm64" },
		{ "armhf", "arm/v7" },	   { "armv7l", "arm/v7" },
		{ "armv8l", "arm/v7" },	   { "armel", "arm/v6" },
		{ "armv6l", "arm/v6" },	   { "armv5tel", "arm/v5" },
		{ "arm/5", "arm/v5" },	   { "arm/6", "arm/v6" },
		{ "arm/7", "arm/v7" },	   { "arm/8", "arm/v8" },
		{ "aarch64/v8", "arm64" }, { "loongarch64", "loong64" },
	};
	size_t i;

	for (i = 0; i < sizeof(same) / sizeof(same[0]); i++)
		if (!strcmp(arch, same[i][0]))
			return same[i][1];
	return arch;
}

static bool is_os(const char *text, size_t len)
{
	static const char *const names[] = { "linux",	"windows", "darwin",
					     "freebsd", "openbsd", "netbsd",
					     "solaris", "illumos", "aix",
					     "wasip1",	"js",	   "plan9",
					     "android", "ios",	   "unknown" };
	size_t i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (strlen(names[i]) == len && !strncmp(text, names[i], len))
			return true;
	return false;
}

/* Lower case, and without slashes at the end (an empty variant). */
void platform_normalize(const char *text, char out[PLATFORM_TEXT])
{
	char low[PLATFORM_TEXT / 2];
	size_t i, os;

	for (i = 0; text[i] && i < sizeof(low) - 1; i++)
		low[i] = (char)(text[i] >= 'A' && text[i] <= 'Z' ?
					text[i] | 0x20 :
					text[i]);
	while (i && low[i - 1] == '/')
		i--;
	low[i] = '\0';
	os = strcspn(low, "/");
	if (!i)
		out[0] = '\0';
	else if (low[os] && is_os(low, os))
		(void)snprintf(out, PLATFORM_TEXT, "%.*s/%s", (int)os, low,
			       arch_normalize(low + os + 1));
	else
		(void)snprintf(out, PLATFORM_TEXT, "linux/%s",
			       arch_normalize(low));
}

/* The platform that this machine runs. */
static const char *host_platform(void)
{
	static char text[PLATFORM_TEXT];
	struct utsname u;

	if (!text[0])
		platform_normalize(uname(&u) ? "unknown" : u.machine, text);
	return text;
}

/*
 * How well a choice fits the platform; 0: not at all.  A machine also runs
 * programs for older machines of its kind, but if the user names a variant,
 * only that variant fits.
 */
static int fit_platform(const char *have, const char *want, bool asked)
{
	static const char arm[] = "linux/arm";
	size_t len = strlen(want);

	if (!*have)
		return 1;
	if (!strcmp(have, want))
		return 100;
	/* arm alone is arm/v7 */
	if (!strcmp(have, arm) && !strcmp(want, "linux/arm/v7"))
		return 99;
	if (!asked && !strncmp(want, "linux/arm/v", 11) &&
	    !strncmp(have, "linux/arm/v", 11) && have[11] < want[11])
		return 10 + (have[11] - '0');
	return !strncmp(have, want, len) && have[len] == '/' ? 10 : 0;
}

/*----------------------------------------------------------------
 * Names
 *--------------------------------------------------------------*/

static bool is_digest(const char *name)
{
	return !strncmp(name, "sha256:", 7) || !strncmp(name, "sha512:", 7);
}

/* Docker's own registry, by one of its names: what follows is in it anyway. */
static const char *skip_docker(const char *name)
{
	if (!strncmp(name, "docker.io/", 10))
		return name + 10;
	return strncmp(name, "index.docker.io/", 16) ? name : name + 16;
}

/*
 * Completes a name as Docker does: "redis" is docker.io/library/redis:latest.
 * A digest behind "@" is cut off.
 */
static void complete_name(const char *text, char out[NAME_TEXT])
{
	const char *name = skip_docker(text);
	size_t first = strcspn(name, "/"), len = strcspn(name, "@");
	bool host = name == text && name[first] &&
		    (memchr(name, '.', first) || memchr(name, ':', first) ||
		     !strncmp(name, "localhost/", 10));
	const char *last = name, *p;

	for (p = name; p < name + len; p++)
		if (*p == '/')
			last = p;
	if (len > NAME_TEXT - 64)
		len = NAME_TEXT - 64;
	(void)snprintf(out, NAME_TEXT, "%s%s%.*s%s", host ? "" : "docker.io/",
		       host || name[first] ? "" : "library/", (int)len, name,
		       memchr(last, ':', (size_t)(name + len - last)) ?
			       "" :
			       ":latest");
}

static bool is_tag_of(const char *tag, const char *name)
{
	const char *colon = strrchr(name, ':');

	return colon && !strchr(colon, '/') && !strcmp(colon + 1, tag);
}

/* How well a name fits the wanted one: 0 not at all, 3 exactly. */
static int fit_name(const char *name, const char *ref)
{
	char a[NAME_TEXT], b[NAME_TEXT];
	const char *digest = strchr(ref, '@');

	if (digest)
		return strcmp(name, digest + 1) ? 0 : 3;
	if (!strcmp(name, ref))
		return 3;
	if (is_digest(name))
		return 0;
	complete_name(name, a);
	complete_name(ref, b);
	if (!strcmp(a, b))
		return 2;
	return is_tag_of(ref, name) ? 1 : 0;
}

static int fit_ref(const json_t *choice, const char *ref)
{
	const json_t *name;
	int best = 0;
	size_t i;

	json_array_foreach(json_object_get(choice, "names"), i, name) {
		int fit = fit_name(json_string_value(name), ref);

		if (fit > best)
			best = fit;
	}
	return best;
}

/*----------------------------------------------------------------
 * Listing the choices
 *--------------------------------------------------------------*/

/*
 * The name of a choice, unless that is a digest, and what else distinguishes
 * it.
 */
static void label(const json_t *o, char out[NAME_TEXT])
{
	const char *name = json_string_value(
		json_array_get(json_object_get(o, "names"), 0));
	const char *platform = text_of(o, "platform");
	const char *version = text_of(o, "version");

	if (!name || is_digest(name))
		name = "";
	(void)snprintf(out, NAME_TEXT, "%s%s%s%s%s", name,
		       *name && *platform ? " " : "", platform,
		       *version ? " " : "", version);
}

/* Whether another choice has the same label. */
static bool is_unclear(const json_t *list, const json_t *choice)
{
	char mine[NAME_TEXT], other[NAME_TEXT];
	const json_t *o;
	size_t i;

	label(choice, mine);
	if (!*mine)
		return true;
	json_array_foreach(list, i, o) {
		label(o, other);
		if (o != choice && !strcmp(mine, other))
			return true;
	}
	return false;
}

static const char *tell(const json_t *list, char out[LIST_TEXT])
{
	size_t i, len = 0;
	const json_t *o;

	out[0] = '\0';
	json_array_foreach(list, i, o) {
		char text[NAME_TEXT];
		const char *digest =
			is_unclear(list, o) ? text_of(o, "digest") : "";
		int n;

		label(o, text);
		n = snprintf(out + len, LIST_TEXT - len, "%s%s%s%s",
			     i ? ", " : "", text, *text && *digest ? " " : "",
			     digest);
		if (n < 0 || len + (size_t)n >= LIST_TEXT - 8) {
			strcpy(out + len, i ? ", ..." : "...");
			break;
		}
		len += (size_t)n;
	}
	return out;
}

/*----------------------------------------------------------------
 * Choosing
 *--------------------------------------------------------------*/

/* The choices with the best value of @fit, which is not 0. */
static json_t *best_of(const json_t *list, const char *want, bool asked,
		       int (*fit)(const json_t *o, const char *want,
				  bool asked))
{
	json_t *o, *best = json_array();
	int most = 1;
	size_t i;

	json_array_foreach(list, i, o) {
		int value = fit(o, want, asked);

		if (value < most)
			continue;
		if (value > most)
			(void)json_array_clear(best);
		most = value;
		(void)json_array_append(best, o);
	}
	return best;
}

static int by_ref(const json_t *o, const char *want, bool asked)
{
	(void)asked;
	return fit_ref(o, want);
}

static int by_platform(const json_t *o, const char *want, bool asked)
{
	return fit_platform(text_of(o, "platform"), want, asked);
}

json_t *choose_by_ref(const json_t *list, const struct oci_want *want)
{
	char text[LIST_TEXT];
	json_t *found;

	if (!json_array_size(list)) {
		(void)err_say(ST_BAD_INPUT, "the source holds no image");
		return NULL;
	}
	if (!want->ref)
		return json_copy((json_t *)list);
	found = best_of(list, want->ref, true, by_ref);
	if (json_array_size(found))
		return found;
	json_decref(found);
	(void)err_say(ST_NOT_FOUND,
		      "the source holds no image called %s; it holds %s",
		      want->ref, tell(list, text));
	return NULL;
}

/* Whether all choices are the same image, perhaps with several names. */
static bool all_same(const json_t *list)
{
	const char *first = text_of(json_array_get(list, 0), "digest");
	const json_t *o;
	size_t i;

	json_array_foreach(list, i, o)
		if (strcmp(text_of(o, "digest"), first) != 0)
			return false;
	return true;
}

/* An image that is named by its digest needs no platform. */
static bool is_digest_of(const json_t *list, const struct oci_want *want)
{
	const char *ref = want->ref ? want->ref : "";
	const char *at = strchr(ref, '@'), *digest = at ? at + 1 : ref;

	return is_digest(digest) && json_array_size(list) && all_same(list) &&
	       !strcmp(text_of(json_array_get(list, 0), "digest"), digest);
}

json_t *choose_by_platform(const json_t *list, const struct oci_want *want)
{
	char platform[PLATFORM_TEXT] = "", text[LIST_TEXT];
	json_t *found, *one = NULL;

	platform_normalize(want->platform ? want->platform : host_platform(),
			   platform);
	if (!want->platform && is_digest_of(list, want))
		return json_incref(json_array_get(list, 0));
	found = best_of(list, platform, want->platform, by_platform);
	if (!json_array_size(found))
		(void)err_say(
			ST_NOT_FOUND,
			"the image has no manifest for %s; choose with --platform: %s",
			platform, tell(list, text));
	else if (all_same(found))
		one = json_incref(json_array_get(found, 0));
	else
		(void)err_say(
			ST_USAGE,
			"the source holds %zu images that fit %s; choose with --ref or --platform: %s",
			json_array_size(found), platform, tell(found, text));
	json_decref(found);
	return one;
}
