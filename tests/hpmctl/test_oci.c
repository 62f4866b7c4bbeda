// SPDX-License-Identifier: GPL-2.0-only
/* Image layouts: found, followed from index to layers, checked by digest. */
#include "image.h"
#include <jansson.h>

#include "oci.h"

static char *dir, layout[64];

static const char *in(const char *path)
{
	static char out[256];

	(void)snprintf(out, sizeof(out), "%s/%s", layout, path);
	return out;
}

static int setup(void **state)
{
	(void)state;
	dir = make_dir();
	(void)snprintf(layout, sizeof(layout), "%s/layout", dir);
	assert_int_equal(mkdir(layout, 0755), 0);
	assert_int_equal(mkdir(in("blobs"), 0755), 0);
	assert_int_equal(mkdir(in("blobs/sha256"), 0755), 0);
	spit(in("oci-layout"), "{\"imageLayoutVersion\":\"1.0.0\"}", 30);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	drop_dir(dir);
	err_clear();
	return 0;
}

/* Puts a blob into the layout; its descriptor. */
static json_t *add_blob(const char *data, size_t size, const char *type)
{
	char digest[72], path[128];

	sha256_text(data, size, digest);
	(void)snprintf(path, sizeof(path), "blobs/sha256/%s", digest + 7);
	spit(in(path), data, size);
	return json_pack("{s:s, s:s, s:I}", "mediaType", type, "digest", digest,
			 "size", (json_int_t)size);
}

static json_t *add_json(json_t *doc, const char *type)
{
	char *text = json_dumps(doc, 0);
	json_t *d = add_blob(text, strlen(text), type);

	free(text);
	json_decref(doc);
	return d;
}

static json_t *add_layer(const char *file, const char *filter)
{
	const struct item items[] = { { file, 0, "contents" }, { 0 } };
	char tar[64], *text;
	size_t size;
	json_t *d;

	(void)snprintf(tar, sizeof(tar), "%s/tmp.tar", dir);
	write_tar(tar, filter, items);
	text = slurp(tar, &size);
	d = add_blob(text, size, "application/vnd.oci.image.layer.v1.tar");
	free(text);
	return d;
}

static json_t *add_manifest(json_t *layers)
{
	return add_json(json_pack("{s:i, s:o}", "schemaVersion", 2, "layers",
				  layers),
			"application/vnd.oci.image.manifest.v1+json");
}

static void write_index(json_t *manifests)
{
	json_t *doc = json_pack("{s:i, s:o}", "schemaVersion", 2, "manifests",
				manifests);

	assert_int_equal(json_dump_file(doc, in("index.json"), 0), 0);
	json_decref(doc);
}

/* Two layers, one manifest. */
static void make_layout(void)
{
	write_index(json_pack(
		"[o]", add_manifest(json_pack("[oo]", add_layer("a", "gzip"),
					      add_layer("b", "zstd")))));
}

static const struct oci_want anything;

static int drain(const struct oci *oci, unsigned int n)
{
	struct stream *s;
	int ret = oci_open_layer(oci, n, &s);

	if (!ret) {
		ret = stream_finish(s);
		stream_close(s);
	}
	return ret;
}

static void check_layout(const char *path)
{
	struct oci oci;

	assert_int_equal(oci_probe(path), 1);
	assert_works(oci_open(path, &anything, &oci));
	assert_int_equal(oci.nr, 2);
	assert_works(drain(&oci, 0));
	assert_works(drain(&oci, 1));
	assert_string_not_equal(oci.layer[0].digest, oci.layer[1].digest);
	oci_close(&oci);
}

static void directory(void **state)
{
	(void)state;
	make_layout();
	check_layout(layout);
}

static void one_tar(void **state)
{
	static const char *const ways[] = { "tar -cf %s/i.tar -C %s .",
					    "tar -czf %s/i.tar -C %s .",
					    "cd %s && tar -cf i.tar -C %s "
					    "oci-layout index.json blobs" };
	char cmd[256], path[64];
	size_t i;

	(void)state;
	make_layout();
	(void)snprintf(path, sizeof(path), "%s/i.tar", dir);
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		(void)snprintf(cmd, sizeof(cmd), ways[i], dir, layout);
		assert_int_equal(system(cmd), 0);
		check_layout(path);
	}
}

static void not_a_layout(void **state)
{
	const struct item items[] = { { "./", S_IFDIR | 0755 },
				      { "./bin/sh", 0, "x" },
				      { "./index.json", 0, "{}" },
				      { 0 } };
	char path[64];

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/rootfs.tar", dir);
	write_tar(path, "gzip", items);
	assert_int_equal(oci_probe(path), 0);
	assert_int_equal(oci_probe("-"), 0);
	assert_fails(oci_probe(layout), "no index.json");
	assert_fails(oci_probe("/nowhere"), "cannot read");
	spit(path, "no archive, but some text that is here", 38);
	assert_fails(oci_probe(path), "cannot read");
}

static json_t *for_platform(json_t *d, const char *os, const char *arch)
{
	(void)json_object_set_new(d, "platform",
				  json_pack("{s:s, s:s}", "os", os,
					    "architecture", arch));
	return d;
}

static json_t *with_ref(json_t *d, const char *ref)
{
	(void)json_object_set_new(
		d, "annotations",
		json_pack("{s:s}", "org.opencontainers.image.ref.name", ref));
	return d;
}

static json_t *image_of(const char *file)
{
	return add_manifest(json_pack("[o]", add_layer(file, NULL)));
}

static void platforms(void **state)
{
	const struct oci_want mips = { .platform = "linux/mips" };
	const struct oci_want alpha = { .platform = "linux/alpha" };
	struct oci oci;
	char digest[72];
	json_t *d = image_of("mips");

	(void)state;
	strcpy(digest, json_string_value(json_object_get(d, "digest")));
	/* an index in the index, as multi-platform images have it */
	write_index(json_pack(
		"[o]",
		add_json(json_pack("{s:i, s:[o,o]}", "schemaVersion", 2,
				   "manifests",
				   for_platform(image_of("x"), "linux", "m68k"),
				   for_platform(d, "linux", "mips")),
			 "application/vnd.oci.image.index.v1+json")));
	assert_works(oci_open(layout, &mips, &oci));
	assert_string_equal(oci.manifest, digest);
	oci_close(&oci);
	assert_fails(oci_open(layout, &alpha, &oci),
		     "no manifest for linux/alpha");
	assert_fails(oci_open(layout, &anything, &oci), "no manifest for");
}

static void refs(void **state)
{
	const struct oci_want two = { .ref = "two" };
	const struct oci_want three = { .ref = "three" };
	struct oci oci;

	(void)state;
	write_index(json_pack("[o,o]", with_ref(image_of("1"), "one"),
			      with_ref(image_of("2"), "two")));
	assert_fails(oci_open(layout, &anything, &oci), "holds 2 images");
	assert_fails(oci_open(layout, &three, &oci), "called three");
	assert_works(oci_open(layout, &two, &oci));
	assert_int_equal(oci.nr, 1);
	oci_close(&oci);
}

/* Turns a bit of a blob over. */
static void damage(const char *digest)
{
	char path[128], *text;
	size_t size;

	(void)snprintf(path, sizeof(path), "blobs/sha256/%s", digest + 7);
	text = slurp(in(path), &size);
	text[size / 2] ^= 4;
	spit(in(path), text, size);
	free(text);
}

static void damaged_layer(void **state)
{
	struct oci oci;

	(void)state;
	make_layout();
	assert_works(oci_open(layout, &anything, &oci));
	damage(oci.layer[1].digest);
	assert_works(drain(&oci, 0));
	assert_fails(drain(&oci, 1), "damaged");
	oci_close(&oci);
}

static void damaged_manifest(void **state)
{
	struct oci oci;

	(void)state;
	make_layout();
	assert_works(oci_open(layout, &anything, &oci));
	damage(oci.manifest);
	oci_close(&oci);
	assert_fails(oci_open(layout, &anything, &oci), "damaged");
}

static void missing_layer(void **state)
{
	char path[128];
	struct oci oci;

	(void)state;
	make_layout();
	assert_works(oci_open(layout, &anything, &oci));
	(void)snprintf(path, sizeof(path), "blobs/sha256/%s",
		       oci.layer[0].digest + 7);
	assert_int_equal(truncate(in(path), 3), 0);
	assert_fails(drain(&oci, 0), "bytes long");
	assert_int_equal(unlink(in(path)), 0);
	assert_fails(drain(&oci, 0), "cannot open");
	oci_close(&oci);
}

static void bad_digests(void **state)
{
	static const char *const digests[] = {
		"",
		"sha256:",
		"sha256:../../../etc/passwd",
		"md5:d41d8cd98f00b204e9800998ecf8427e",
		"sha256:E3B0C44298FC1C149AFBF4C8996FB92427AE41E4649B934CA495991B7852B855",
	};
	struct oci oci;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(digests) / sizeof(digests[0]); i++) {
		write_index(json_pack("[{s:s, s:i}]", "digest", digests[i],
				      "size", 5));
		assert_fails(oci_open(layout, &anything, &oci),
			     "is not a sha256");
	}
}

static void sha512(void **state)
{
	/* of "abc" */
	static const char text[] =
		"sha512:ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		"2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f";
	struct digest d;

	(void)state;
	assert_works(digest_begin(&d, text));
	digest_add(&d, "ab", 2);
	digest_add(&d, "c", 1);
	assert_true(digest_matches(&d));
	assert_works(digest_begin(&d, text));
	digest_add(&d, "abd", 3);
	assert_false(digest_matches(&d));
}

static void bad_documents(void **state)
{
	static const struct {
		const char *text, *words;
	} bad[] = {
		{ "", "is not JSON" },
		{ "{", "is not JSON" },
		{ "[]", "names no manifests" },
		{ "{}", "names no manifests" },
		{ "{\"manifests\":7}", "names no manifests" },
		{ "{\"manifests\":[]}", "no manifest for" },
		{ "{\"manifests\":[7]}", "is not a sha256" },
		{ "{\"manifests\":[{\"digest\":\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\"}]}",
		  "has no size" },
		{ "{\"manifests\":[{\"digest\":\"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\",\"size\":-1}]}",
		  "has no size" },
	};
	struct oci oci;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		spit(in("index.json"), bad[i].text, strlen(bad[i].text));
		assert_fails(oci_open(layout, &anything, &oci), bad[i].words);
	}
}

static void bad_layers(void **state)
{
	json_t *foreign = add_layer("x", NULL), *zip = add_layer("y", NULL);
	struct oci oci;

	(void)state;
	(void)json_object_set_new(
		foreign, "mediaType",
		json_string(
			"application/vnd.oci.image.layer.nondistributable.v1.tar"));
	(void)json_object_set_new(zip, "mediaType",
				  json_string("application/zip"));
	write_index(json_pack("[o]", add_manifest(json_pack("[o]", foreign))));
	assert_fails(oci_open(layout, &anything, &oci), "not part of");
	write_index(json_pack("[o]", add_manifest(json_pack("[o]", zip))));
	assert_fails(oci_open(layout, &anything, &oci), "not a tar file");
	write_index(json_pack("[o]", add_manifest(json_array())));
	assert_fails(oci_open(layout, &anything, &oci), "has 0 layers");
}

/* An index that names itself would never end; digests make that impossible,
 * but a chain can be long. */
static void long_chain(void **state)
{
	json_t *d = image_of("deep");
	struct oci oci;
	int i;

	(void)state;
	for (i = 0; i < 6; i++)
		d = add_json(json_pack("{s:[o]}", "manifests", d),
			     "application/vnd.oci.image.index.v1+json");
	write_index(json_pack("[o]", d));
	assert_fails(oci_open(layout, &anything, &oci), "too deep");
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(directory),	     T(one_tar),       T(not_a_layout),
		T(platforms),	     T(refs),	       T(damaged_layer),
		T(damaged_manifest), T(missing_layer), T(bad_digests),
		T(sha512),	     T(bad_documents), T(bad_layers),
		T(long_chain),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
