// SPDX-License-Identifier: GPL-2.0-only
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "err.h"
#include "imagename.h"
#include "oci.h"
#include "rawtar.h"
#include "text.h"

#define JSON_MAX  (4u << 20) /* the largest manifest */
#define DEPTH_MAX 4	     /* of nested indexes */
#define LOADS_MAX 1000	     /* indexes read in all */
#define NR_MAX	  50000	     /* images in all of them */

/*----------------------------------------------------------------
 * Is it an image?
 *--------------------------------------------------------------*/

static enum image_kind kind_of(const struct image_names *n)
{
	if (!image_names_is_image(n))
		return IMAGE_NONE;
	return n->top.index    ? IMAGE_OCI :
	       n->top.manifest ? IMAGE_DOCKER :
				 IMAGE_DOCKER_OLD;
}

/*
 * All names are looked at until one does not belong to an image: an image can
 * have its index or manifest anywhere, and a file system can have a file of
 * that name.
 */
static int probe_members(struct archive *a, const char *path)
{
	struct image_names names = { 0 };
	struct archive_entry *entry;
	int ret;

	while ((ret = archive_read_next_header(a, &entry)) == ARCHIVE_OK ||
	       ret == ARCHIVE_WARN) {
		const char *name = archive_entry_pathname(entry);

		if (!name)
			return IMAGE_NONE;
		image_names_add(&names, name);
		if (names.top.other)
			return IMAGE_NONE;
	}
	if (ret != ARCHIVE_EOF)
		return err_say(ST_BAD_INPUT, "cannot read %s: %s", path,
			       archive_why(a));
	if (names.top.twice && kind_of(&names) != IMAGE_NONE)
		return err_say(
			ST_BAD_INPUT,
			"%s has an index.json, manifest.json or repositories twice: it is ambiguous which one is meant",
			path);
	return kind_of(&names);
}

/*
 * The members of an image are read up to their ends, but the checksum of the
 * archive's compression follows all of them; and libarchive does not check
 * gzip's.
 */
static int check_packed(const char *path)
{
	struct stream *s;
	int ret;

	if (stream_open_file(path, &s))
		return -1;
	ret = rawtar_check(s);
	stream_close(s);
	return ret;
}

static int probe_file(const char *path)
{
	struct archive *a = archive_reader();
	int ret;

	if (!a)
		return -1;
	if (archive_read_open_filename(a, path, 1 << 18))
		ret = err_say(ST_BAD_INPUT, "cannot read %s: %s", path,
			      archive_why(a));
	else
		ret = probe_members(a, path);
	if (ret > IMAGE_NONE &&
	    archive_filter_code(a, 0) != ARCHIVE_FILTER_NONE &&
	    check_packed(path))
		ret = -1;
	(void)archive_read_free(a);
	return ret;
}

static int probe_dir(const char *path)
{
	static const struct {
		const char *name;
		enum image_kind kind;
	} files[] = { { "index.json", IMAGE_OCI },
		      { "manifest.json", IMAGE_DOCKER },
		      { "repositories", IMAGE_DOCKER_OLD } };
	char name[PATH_MAX];
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
		if (print_to(name, sizeof(name), "%s/%s", path, files[i].name))
			return -1;
		if (!access(name, R_OK))
			return files[i].kind;
	}
	return err_say(
		ST_BAD_INPUT,
		"the directory %s is not an OCI image layout: it has no index.json (nor manifest.json, as \"docker save\" writes it)",
		path);
}

int oci_probe(const char *path)
{
	struct stat st;

	if (!strcmp(path, "-"))
		return IMAGE_NONE;
	if (stat(path, &st))
		return err_sys(errno, "cannot read %s", path);
	if (S_ISDIR(st.st_mode))
		return probe_dir(path);
	return S_ISREG(st.st_mode) ? probe_file(path) : IMAGE_NONE;
}

/*----------------------------------------------------------------
 * Blobs
 *--------------------------------------------------------------*/

static int open_name(const struct oci *oci, const char *name,
		     struct stream **sp)
{
	/* (what is checked by a digest may be anywhere) */
	if (oci->dir >= 0)
		return stream_open_at(oci->dir, name, oci->kind != IMAGE_OCI,
				      sp);
	return stream_open_member(oci->path, name, sp);
}

static int open_blob(const struct oci *oci, const char *digest, uint64_t size,
		     struct stream **sp)
{
	char path[DIGEST_TEXT], name[DIGEST_TEXT + 8];
	struct digest d;

	if (digest_begin(&d, digest))
		return -1;
	digest_path(&d, path);
	if (print_to(name, sizeof(name), "blobs/%s", path) ||
	    open_name(oci, name, sp))
		return -1;
	if (stream_expect(*sp, digest, size)) {
		stream_close(*sp);
		return -1;
	}
	return 0;
}

static int read_text(struct stream *s, char **textp, size_t *sizep)
{
	const void *data;
	char *text = NULL;
	size_t size = 0;
	ssize_t n;

	while ((n = stream_read(s, &data)) > 0) {
		char *more = size + (size_t)n > JSON_MAX ?
				     NULL :
				     realloc(text, size + (size_t)n);

		if (!more) {
			free(text);
			return err_say(ST_BAD_INPUT, "%s is too large",
				       s->name);
		}
		text = more;
		memcpy(text + size, data, (size_t)n);
		size += (size_t)n;
	}
	if (n < 0 || stream_finish(s)) {
		free(text);
		return -1;
	}
	*textp = text;
	*sizep = size;
	return 0;
}

/* Reads the stream to its end and closes it. */
static json_t *read_json(struct stream *s)
{
	json_error_t error;
	json_t *json = NULL;
	char *text = NULL;
	size_t size;

	if (!read_text(s, &text, &size)) {
		json = json_loadb(text ? text : "", size,
				  JSON_REJECT_DUPLICATES, &error);
		if (!json)
			(void)err_say(ST_BAD_INPUT, "%s is not JSON: %s",
				      s->name, error.text);
	}
	free(text);
	stream_close(s);
	return json;
}

/*----------------------------------------------------------------
 * From the index to the choices
 *--------------------------------------------------------------*/

static const char *get_string(const json_t *o, const char *key)
{
	const char *s = json_string_value(json_object_get(o, key));

	return s ? s : "";
}

static int get_descriptor(const json_t *o, char digest[DIGEST_TEXT],
			  uint64_t *size)
{
	const char *text = get_string(o, "digest");
	json_int_t n = json_integer_value(json_object_get(o, "size"));
	struct digest d;

	if (digest_begin(&d, text))
		return -1;
	if (n < 0 || !json_is_integer(json_object_get(o, "size")))
		return err_say(ST_BAD_INPUT, "%s has no size", text);
	strcpy(digest, text);
	*size = (uint64_t)n;
	return 0;
}

static json_t *read_blob(const struct oci *oci, const char *digest,
			 uint64_t size)
{
	struct stream *s;

	return open_blob(oci, digest, size, &s) ? NULL : read_json(s);
}

/* "os/architecture/variant", "" if none of them is given */
static void get_platform(const json_t *o, char out[PLATFORM_TEXT])
{
	const char *os = get_string(o, "os");
	const char *arch = get_string(o, "architecture");
	const char *variant = get_string(o, "variant");

	if (!*arch)
		out[0] = '\0';
	else
		(void)snprintf(out, PLATFORM_TEXT, "%s%s%s%s%s", os,
			       *os ? "/" : "", arch, *variant ? "/" : "",
			       variant);
}

static bool is_image_config(const char *type)
{
	return strstr(type, "vnd.oci.image.config.") ||
	       strstr(type, "vnd.docker.container.image.");
}

/*
 * BuildKit's statements of how an image was made are stored beside the image,
 * as are signatures and the like.
 */
static bool lies_beside(const json_t *o)
{
	const char *artifact = get_string(o, "artifactType");
	const json_t *p = json_object_get(o, "platform");
	const char *type = get_string(json_object_get(o, "annotations"),
				      "vnd.docker.reference.type");

	return (*artifact && !is_image_config(artifact)) ||
	       !strcmp(type, "attestation-manifest") ||
	       (!strcmp(get_string(p, "os"), "unknown") &&
		!strcmp(get_string(p, "architecture"), "unknown"));
}

static void add_name(json_t *names, const char *name)
{
	if (*name)
		(void)json_array_append_new(names, json_string(name));
}

/*
 * The names by which an image can be chosen: the whole name that containerd and
 * Docker store, the name that OCI has (usually a tag), its digest, and all
 * names of the index that contains it.
 */
static json_t *names_of(const json_t *o, const json_t *above)
{
	const json_t *notes = json_object_get(o, "annotations");
	json_t *names = json_array();

	add_name(names, get_string(notes, "io.containerd.image.name"));
	add_name(names, get_string(notes, "org.opencontainers.image.ref.name"));
	if (above)
		(void)json_array_extend(names, (json_t *)above);
	add_name(names, get_string(o, "digest"));
	return names;
}

/*
 * An error in an image matters only if this image is wanted: it is kept with
 * the choice.  -1: a failure of the machine.
 */
static int set_bad(json_t *choice)
{
	if (err_status() != ST_BAD_INPUT)
		return -1;
	(void)json_object_set_new(choice, "bad", json_string(err_text()));
	err_clear();
	return 0;
}

static bool is_index_type(const char *type)
{
	return strstr(type, "image.index") || strstr(type, "manifest.list");
}

/*
 * A reader that goes by a document's type and one that goes by its content must
 * see the same image.  @type: the type in the descriptor, "" if there is none.
 */
static int check_meaning(const json_t *doc, const char *what, const char *type)
{
	bool index = json_object_get(doc, "manifests") != NULL;
	const char *said = get_string(doc, "mediaType");

	if (index &&
	    (json_object_get(doc, "layers") || json_object_get(doc, "config")))
		return err_say(ST_BAD_INPUT,
			       "%s is an image and an index at once", what);
	if (!*type || is_index_type(type) == index)
		type = said;
	if (*type && is_index_type(type) != index)
		return err_say(ST_BAD_INPUT, "%s has the type %s, but is %s",
			       what, type, index ? "an index" : "not an index");
	return 0;
}

struct collect {
	const struct oci *oci;
	json_t *list; /* the choices */
	unsigned int loads;
};

static int collect_index(struct collect *c, const json_t *index,
			 const json_t *names, int depth);

/*
 * Returns 1: the descriptor was that of an index, which was handled; 0: it was
 * not; -1: error.  An index that cannot be read is a choice, too: this matters
 * only if it is wanted.
 */
static int collect_nested(struct collect *c, const json_t *o,
			  const json_t *names, int depth)
{
	const char *type = get_string(o, "mediaType");
	char digest[DIGEST_TEXT];
	uint64_t size;
	json_t *doc;
	int ret = 0;

	/* Without a type, only the content tells. */
	if (*type && !is_index_type(type))
		return 0;
	if (++c->loads > LOADS_MAX)
		return err_say(ST_BAD_INPUT, "the image has too many indexes");
	if (get_descriptor(o, digest, &size))
		return -1;
	doc = read_blob(c->oci, digest, size);
	if (!doc || check_meaning(doc, digest, type))
		err_clear();
	else if (json_object_get(doc, "manifests"))
		ret = collect_index(c, doc, names, depth + 1) ? -1 : 1;
	json_decref(doc);
	return ret;
}

static int collect_one(struct collect *c, const json_t *o, const json_t *above,
		       int depth)
{
	const json_t *p = json_object_get(o, "platform");
	char digest[DIGEST_TEXT], platform[PLATFORM_TEXT];
	json_t *names, *choice;
	uint64_t size = 0;
	bool bad;
	int ret;

	if (lies_beside(o))
		return 0;
	names = names_of(o, above);
	bad = get_descriptor(o, digest, &size);
	ret = bad ? 0 : collect_nested(c, o, names, depth);
	if (ret) {
		json_decref(names);
		return ret < 0 ? -1 : 0;
	}
	get_platform(p, platform);
	choice = choice_new(get_string(o, "digest"), (json_int_t)size, platform,
			    get_string(p, "os.version"), names);
	if (!choice || (bad && set_bad(choice))) {
		json_decref(choice);
		return -1;
	}
	(void)json_object_set(choice, "type", json_object_get(o, "mediaType"));
	if (json_array_size(c->list) == NR_MAX) {
		json_decref(choice);
		return err_say(ST_BAD_INPUT, "the image has too many indexes");
	}
	return json_array_append_new(c->list, choice) ? err_nomem() : 0;
}

static int collect_index(struct collect *c, const json_t *index,
			 const json_t *names, int depth)
{
	const json_t *list = json_object_get(index, "manifests"), *o;
	size_t i;

	if (depth > DEPTH_MAX)
		return err_say(ST_BAD_INPUT,
			       "the image's indexes are nested too deeply");
	if (!json_is_array(list))
		return err_say(ST_BAD_INPUT, "%s names no manifests",
			       depth ? "an index" : "index.json");
	json_array_foreach(list, i, o) {
		if (collect_one(c, o, names, depth))
			return -1;
	}
	return 0;
}

/*
 * An index need not give the platforms of its images; their configurations do.
 * If a platform is wanted, the configuration is read.
 */
static void look_for_platform(const struct oci *oci, json_t *choice)
{
	const char *digest = get_string(choice, "digest");
	char platform[PLATFORM_TEXT], normal[PLATFORM_TEXT];
	json_t *manifest, *config = NULL;
	uint64_t size;

	if (*get_string(choice, "platform"))
		return;
	manifest = read_blob(
		oci, digest,
		(uint64_t)json_integer_value(json_object_get(choice, "size")));
	if (manifest && !get_descriptor(json_object_get(manifest, "config"),
					(char[DIGEST_TEXT]){ 0 }, &size))
		config = read_blob(
			oci,
			get_string(json_object_get(manifest, "config"),
				   "digest"),
			size);
	err_clear(); /* then it fits any platform */
	get_platform(config, platform);
	platform_normalize(platform, normal);
	(void)json_object_set_new(choice, "platform", json_string(normal));
	json_decref(config);
	json_decref(manifest);
}

static json_t *choose(const struct oci *oci, const json_t *list,
		      const struct oci_want *want)
{
	json_t *named = choose_by_ref(list, want), *one, *o;
	const char *bad;
	size_t i;

	if (!named)
		return NULL;
	if (want->platform && oci->kind == IMAGE_OCI)
		json_array_foreach(named, i, o)
			look_for_platform(oci, o);
	one = choose_by_platform(named, want);
	json_decref(named);
	bad = json_string_value(json_object_get(one, "bad"));
	if (bad) {
		(void)err_say(ST_BAD_INPUT, "%s", bad);
		json_decref(one);
		one = NULL;
	}
	return one;
}

/*----------------------------------------------------------------
 * From the manifest to the layers
 *--------------------------------------------------------------*/

/* Layers that are not in the layout, or not tar files, cannot be imported. */
static int check_layer_type(const char *type)
{
	if (strstr(type, "nondistributable") || strstr(type, "foreign"))
		return err_say(ST_BAD_INPUT,
			       "a layer is not part of the image (%s)", type);
	if (strstr(type, "encrypted"))
		return err_say(ST_BAD_INPUT, "a layer is encrypted (%s)", type);
	if (*type && !strstr(type, ".tar"))
		return err_say(ST_BAD_INPUT, "a layer is not a tar file (%s)",
			       type);
	return 0;
}

static int new_layers(struct oci *oci, size_t nr)
{
	if (!nr || nr > OCI_LAYERS_MAX)
		return err_say(
			ST_BAD_INPUT,
			"the image has %zu layers (1 to %u can be imported)",
			nr, OCI_LAYERS_MAX);
	oci->layer = calloc(nr, sizeof(*oci->layer));
	if (!oci->layer)
		return err_nomem();
	oci->nr = (unsigned int)nr;
	return 0;
}

/* Layouts also store charts, signatures and other things. */
static int check_is_image(const json_t *manifest)
{
	const char *type = get_string(manifest, "artifactType");
	const char *config =
		get_string(json_object_get(manifest, "config"), "mediaType");

	if (*config && !is_image_config(config))
		type = config;
	if (!*type || is_image_config(type))
		return 0;
	return err_say(ST_BAD_INPUT,
		       "the source holds something other than an image: %s",
		       type);
}

static int take_layers(const json_t *manifest, struct oci *oci)
{
	const json_t *list = json_object_get(manifest, "layers"), *o;
	size_t i;

	if (check_is_image(manifest) || new_layers(oci, json_array_size(list)))
		return -1;
	json_array_foreach(list, i, o) {
		if (check_layer_type(get_string(o, "mediaType")) ||
		    get_descriptor(o, oci->layer[i].digest,
				   &oci->layer[i].size))
			return -1;
	}
	return 0;
}

static int load_oci(struct oci *oci, const json_t *index,
		    const struct oci_want *want)
{
	struct collect c = { .oci = oci, .list = json_array() };
	json_t *one = NULL, *manifest = NULL;
	int ret = check_meaning(index, "index.json", "") ||
		  collect_index(&c, index, NULL, 0);

	if (!ret)
		one = choose(oci, c.list, want);
	if (one) {
		strcpy(oci->manifest, get_string(one, "digest"));
		manifest = read_blob(oci, oci->manifest,
				     (uint64_t)json_integer_value(
					     json_object_get(one, "size")));
	}
	ret = !manifest || check_meaning(manifest, oci->manifest,
					 get_string(one, "type")) ?
		      -1 :
		      take_layers(manifest, oci);
	json_decref(manifest);
	json_decref(one);
	json_decref(c.list);
	return ret;
}

/*----------------------------------------------------------------
 * What "docker save" wrote
 *--------------------------------------------------------------*/

static json_t *read_member(const struct oci *oci, const char *name,
			   const char *digest)
{
	struct stream *s;

	if (open_name(oci, name, &s))
		return NULL;
	if (*digest && stream_expect(s, digest, s->total)) {
		stream_close(s);
		return NULL;
	}
	return read_json(s);
}

/* "ID.json", "sha256:ID" or "blobs/sha256/ID": returns the id, or "" */
static void digest_of_name(const char *name, char out[DIGEST_TEXT])
{
	const char *p = strrchr(name, '/');
	size_t len;

	p = p ? p + 1 : name;
	if (!strncmp(p, "sha256:", 7))
		p += 7;
	len = strspn(p, "0123456789abcdef");
	out[0] = '\0';
	if (len == 64 && (!p[len] || !strcmp(p + len, ".json")))
		(void)snprintf(out, DIGEST_TEXT, "sha256:%.64s", p);
}

/*
 * The name of a configuration is its digest, and it contains the layers'
 * digests.
 */
static int collect_docker(const struct oci *oci, const json_t *o, json_t *list)
{
	const char *name = get_string(o, "Config");
	const json_t *tags = json_object_get(o, "RepoTags"), *tag;
	char digest[DIGEST_TEXT], platform[PLATFORM_TEXT];
	json_t *config, *names, *choice;
	size_t i;

	if (!*name)
		return err_say(ST_BAD_INPUT,
			       "manifest.json does not describe an image");
	digest_of_name(name, digest);
	config = read_member(oci, name, digest);
	names = json_array();
	json_array_foreach(tags, i, tag)
		add_name(names,
			 json_is_string(tag) ? json_string_value(tag) : "");
	add_name(names, digest);
	get_platform(config, platform);
	choice = choice_new(*digest ? digest : name, 0, platform, "", names);
	if (!choice || (!config && set_bad(choice))) {
		json_decref(choice);
		json_decref(config);
		return -1;
	}
	(void)json_object_set_new(choice, "config", config);
	(void)json_object_set(choice, "layers", json_object_get(o, "Layers"));
	return json_array_append_new(list, choice) ? err_nomem() : 0;
}

/*
 * Accepts only a path inside the image; symbolic links are checked when it is
 * opened.
 */
static int set_name(struct oci_layer *layer, const char *name)
{
	const char *p;

	for (p = name; *p; p += strcspn(p, "/"), p += strspn(p, "/"))
		if (p[0] == '.' && p[1] == '.' && (!p[2] || p[2] == '/'))
			break;
	if (!*name || *name == '/' || *p)
		return err_say(ST_BAD_INPUT,
			       "the image has a layer outside of it: \"%s\"",
			       name);
	layer->name = strdup(name);
	return layer->name ? 0 : err_nomem();
}

static int take_docker(const json_t *choice, struct oci *oci)
{
	const json_t *layers = json_object_get(choice, "layers"), *o;
	const json_t *ids = json_object_get(
		json_object_get(json_object_get(choice, "config"), "rootfs"),
		"diff_ids");
	struct digest d;
	size_t i;

	if (new_layers(oci, json_array_size(layers)))
		return -1;
	if (json_array_size(ids) != oci->nr)
		return err_say(
			ST_BAD_INPUT,
			"the image has %u layers, but digests of %zu layers",
			oci->nr, json_array_size(ids));
	json_array_foreach(layers, i, o) {
		const char *name = json_string_value(o);
		const char *id = json_string_value(json_array_get(ids, i));

		if (!id)
			id = "";
		if (set_name(&oci->layer[i], name ? name : "") ||
		    digest_begin(&d, id))
			return -1;
		strcpy(oci->layer[i].digest, id);
	}
	return 0;
}

static int load_docker(struct oci *oci, const json_t *doc,
		       const struct oci_want *want)
{
	json_t *list = json_array(), *one = NULL;
	const json_t *o;
	int ret = 0;
	size_t i;

	if (!json_is_array(doc))
		ret = err_say(ST_BAD_INPUT,
			      "manifest.json does not describe an image");
	json_array_foreach(doc, i, o) {
		ret = collect_docker(oci, o, list);
		if (ret)
			break;
	}
	if (!ret)
		one = choose(oci, list, want);
	ret = one ? take_docker(one, oci) : -1;
	json_decref(one);
	json_decref(list);
	return ret;
}

/*----------------------------------------------------------------
 * The oldest format: an image is a layer with a parent
 *--------------------------------------------------------------*/

static json_t *read_old(const struct oci *oci, const char *id)
{
	char name[DIGEST_TEXT];

	if (strlen(id) != 64 || strspn(id, "0123456789abcdef") != 64) {
		(void)err_say(ST_BAD_INPUT, "\"%.80s\" is not a layer's id",
			      id);
		return NULL;
	}
	return print_to(name, sizeof(name), "%s/json", id) ?
		       NULL :
		       read_member(oci, name, "");
}

static int collect_old(const struct oci *oci, const char *repository,
		       const json_t *tags, json_t *list)
{
	const char *tag;
	json_t *id;

	json_object_foreach((json_t *)tags, tag, id) {
		char name[512], platform[PLATFORM_TEXT];
		const char *text = json_string_value(id);
		json_t *top = read_old(oci, text ? text : ""), *choice;

		get_platform(top, platform);
		(void)snprintf(name, sizeof(name), "%s:%s", repository, tag);
		choice = choice_new(text ? text : "", 0, platform, "",
				    json_pack("[s]", name));
		if (!choice || (!top && set_bad(choice))) {
			json_decref(choice);
			json_decref(top);
			return -1;
		}
		json_decref(top);
		if (json_array_append_new(list, choice))
			return err_nomem();
	}
	return 0;
}

/* From the top layer down; each is stored at its place from the end. */
static int take_old(struct oci *oci, const char *top)
{
	char ids[OCI_LAYERS_MAX][65], name[DIGEST_TEXT];
	size_t nr = 0, i;

	(void)snprintf(ids[0], sizeof(ids[0]), "%s", top);
	for (;;) {
		json_t *o = read_old(oci, ids[nr]);
		const char *parent = get_string(o, "parent");
		bool more = *parent;

		if (!o)
			return -1;
		if (++nr < OCI_LAYERS_MAX)
			(void)snprintf(ids[nr], sizeof(ids[0]), "%s", parent);
		json_decref(o);
		if (!more)
			break;
		if (nr == OCI_LAYERS_MAX)
			return new_layers(oci, nr + 1);
	}
	if (new_layers(oci, nr))
		return -1;
	for (i = 0; i < nr; i++)
		if (print_to(name, sizeof(name), "%s/layer.tar",
			     ids[nr - 1 - i]) ||
		    set_name(&oci->layer[i], name))
			return -1;
	return 0;
}

static int load_old(struct oci *oci, const json_t *doc,
		    const struct oci_want *want)
{
	json_t *list = json_array(), *one = NULL, *tags;
	const char *repository;
	int ret = 0;

	json_object_foreach((json_t *)doc, repository, tags) {
		ret = collect_old(oci, repository, tags, list);
		if (ret)
			break;
	}
	if (!ret)
		one = choose(oci, list, want);
	ret = one ? take_old(oci, get_string(one, "digest")) : -1;
	json_decref(one);
	json_decref(list);
	return ret;
}

/*----------------------------------------------------------------
 * All kinds
 *--------------------------------------------------------------*/

static int load(struct oci *oci, const struct oci_want *want)
{
	static const struct {
		const char *name;
		int (*load)(struct oci *oci, const json_t *doc,
			    const struct oci_want *want);
	} kinds[] = {
		[IMAGE_OCI] = { "index.json", load_oci },
		[IMAGE_DOCKER] = { "manifest.json", load_docker },
		[IMAGE_DOCKER_OLD] = { "repositories", load_old },
	};
	json_t *doc;
	int ret;

	static_assert(sizeof(kinds) / sizeof(kinds[0]) == NR_IMAGE_KINDS,
		      "a kind is missing");
	if (!kinds[oci->kind].load)
		return err_say(ST_BAD_INPUT, "%s is not an image", oci->path);
	oci->dir = open(oci->path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (oci->dir < 0 && errno != ENOTDIR)
		return err_sys(errno, "cannot open %s", oci->path);
	doc = read_member(oci, kinds[oci->kind].name, "");
	if (!doc)
		return -1;
	ret = kinds[oci->kind].load(oci, doc, want);
	json_decref(doc);
	return ret;
}

int oci_open(const char *path, enum image_kind kind,
	     const struct oci_want *want, struct oci *oci)
{
	memset(oci, 0, sizeof(*oci));
	oci->dir = -1;
	oci->kind = kind;
	oci->path = strdup(path);
	if (!oci->path)
		return err_nomem();
	if (!load(oci, want))
		return 0;
	oci_close(oci);
	return -1;
}

int oci_open_layer(const struct oci *oci, unsigned int n, struct stream **sp)
{
	const struct oci_layer *l = &oci->layer[n];

	if (!l->name)
		return open_blob(oci, l->digest, l->size, sp);
	if (open_name(oci, l->name, sp))
		return -1;
	if (!*l->digest || !stream_expect_plain(*sp, l->digest))
		return 0;
	stream_close(*sp);
	return -1;
}

void oci_close(struct oci *oci)
{
	unsigned int n;

	for (n = 0; oci->layer && n < oci->nr; n++)
		free(oci->layer[n].name);
	free(oci->path);
	free(oci->layer);
	if (oci->dir >= 0)
		(void)close(oci->dir);
	memset(oci, 0, sizeof(*oci));
	oci->dir = -1;
}
