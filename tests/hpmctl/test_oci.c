// SPDX-License-Identifier: GPL-2.0-only
/* Image layouts: found, followed from index to layers, checked by digest. */
#include "image.h"
#include <jansson.h>

#include "imagename.h"
#include "layer.h"
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

/* Puts a blob into the layout; returns its descriptor. */
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
	assert_works(oci_open(path, IMAGE_OCI, &anything, &oci));
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
	assert_works(oci_open(layout, IMAGE_OCI, &mips, &oci));
	assert_string_equal(oci.manifest, digest);
	oci_close(&oci);
	assert_fails(oci_open(layout, IMAGE_OCI, &alpha, &oci),
		     "no manifest for linux/alpha");
	assert_fails(oci_open(layout, IMAGE_OCI, &anything, &oci),
		     "no manifest for");
}

static void refs(void **state)
{
	const struct oci_want two = { .ref = "two" };
	const struct oci_want three = { .ref = "three" };
	struct oci oci;

	(void)state;
	write_index(json_pack("[o,o]", with_ref(image_of("1"), "one"),
			      with_ref(image_of("2"), "two")));
	assert_fails(oci_open(layout, IMAGE_OCI, &anything, &oci),
		     "holds 2 images");
	assert_fails(oci_open(layout, IMAGE_OCI, &three, &oci), "called three");
	assert_works(oci_open(layout, IMAGE_OCI, &two, &oci));
	assert_int_equal(oci.nr, 1);
	oci_close(&oci);
}

/* Flips a bit of a blob. */
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
	assert_works(oci_open(layout, IMAGE_OCI, &anything, &oci));
	damage(oci.layer[1].digest);
	assert_works(drain(&oci, 0));
	assert_bad(drain(&oci, 1), "damaged");
	oci_close(&oci);
}

static void damaged_manifest(void **state)
{
	struct oci oci;

	(void)state;
	make_layout();
	assert_works(oci_open(layout, IMAGE_OCI, &anything, &oci));
	damage(oci.manifest);
	oci_close(&oci);
	assert_fails(oci_open(layout, IMAGE_OCI, &anything, &oci), "damaged");
}

static void missing_layer(void **state)
{
	char path[128];
	struct oci oci;

	(void)state;
	make_layout();
	assert_works(oci_open(layout, IMAGE_OCI, &anything, &oci));
	(void)snprintf(path, sizeof(path), "blobs/sha256/%s",
		       oci.layer[0].digest + 7);
	assert_int_equal(truncate(in(path), 3), 0);
	assert_bad(drain(&oci, 0), "bytes long");
	assert_int_equal(unlink(in(path)), 0);
	assert_bad(drain(&oci, 0), "cannot open");
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
		assert_fails(oci_open(layout, IMAGE_OCI, &anything, &oci),
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
		{ "{\"manifests\":[]}", "holds no image" },
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
		assert_fails(oci_open(layout, IMAGE_OCI, &anything, &oci),
			     bad[i].words);
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
	assert_fails(oci_open(layout, IMAGE_OCI, &anything, &oci),
		     "not part of");
	write_index(json_pack("[o]", add_manifest(json_pack("[o]", zip))));
	assert_fails(oci_open(layout, IMAGE_OCI, &anything, &oci),
		     "not a tar file");
	write_index(json_pack("[o]", add_manifest(json_array())));
	assert_fails(oci_open(layout, IMAGE_OCI, &anything, &oci),
		     "has 0 layers");
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
	assert_fails(oci_open(layout, IMAGE_OCI, &anything, &oci), "too deep");
}

static json_t *with_note(json_t *d, const char *key, const char *value)
{
	json_t *notes = json_object_get(d, "annotations");

	if (!notes) {
		notes = json_object();
		(void)json_object_set_new(d, "annotations", notes);
	}
	(void)json_object_set_new(notes, key, json_string(value));
	return d;
}

/* As Docker and containerd name images: the tag, and the whole name. */
static json_t *called(json_t *d, const char *whole)
{
	(void)with_note(d, "org.opencontainers.image.ref.name",
			strrchr(whole, ':') + 1);
	return with_note(d, "io.containerd.image.name", whole);
}

static json_t *for_variant(json_t *d, const char *arch, const char *variant)
{
	(void)for_platform(d, "linux", arch);
	(void)json_object_set_new(json_object_get(d, "platform"), "variant",
				  json_string(variant));
	return d;
}

static const char *digest_of(const json_t *d)
{
	return json_string_value(json_object_get(d, "digest"));
}

/* The chosen image must have this digest. */
static void assert_chosen(const char *ref, const char *platform,
			  const char *digest)
{
	const struct oci_want want = { ref, platform };
	struct oci oci;

	assert_works(oci_open(layout, IMAGE_OCI, &want, &oci));
	assert_string_equal(oci.manifest, digest);
	oci_close(&oci);
}

static void refused(const char *ref, const char *platform, int status,
		    const char *words)
{
	const struct oci_want want = { ref, platform };
	struct oci oci;

	err_clear();
	assert_true(oci_open(layout, IMAGE_OCI, &want, &oci) < 0);
	assert_int_equal(err_status(), status);
	if (!strstr(err_text(), words))
		fail_msg("\"%s\" lacks \"%s\"", err_text(), words);
	err_clear();
}

static void whole_names(void **state)
{
	json_t *a = called(image_of("a"), "docker.io/shop/a:latest");
	json_t *b = called(image_of("b"), "docker.io/shop/b:latest");
	json_t *c = called(image_of("c"), "docker.io/library/redis:7");
	json_t *d = called(image_of("d"), "localhost:5000/x/y:1.0");
	char da[80], db[80], dc[80], dd[80], at[200];

	(void)state;
	strcpy(da, digest_of(a));
	strcpy(db, digest_of(b));
	strcpy(dc, digest_of(c));
	strcpy(dd, digest_of(d));
	write_index(json_pack("[o,o,o,o]", a, b, c, d));
	refused(NULL, NULL, ST_USAGE,
		"docker.io/shop/a:latest, docker.io/shop/b:latest");
	refused("latest", NULL, ST_USAGE, "docker.io/shop/b:latest");
	refused("nope", NULL, ST_NOT_FOUND, "localhost:5000/x/y:1.0");
	assert_chosen("docker.io/shop/b:latest", NULL, db);
	assert_chosen("shop/a", NULL, da);
	assert_chosen("shop/b:latest", NULL, db);
	assert_chosen("redis:7", NULL, dc);
	assert_chosen("7", NULL, dc);
	assert_chosen("docker.io/redis:7", NULL, dc);
	assert_chosen("index.docker.io/redis:7", NULL, dc);
	assert_chosen("index.docker.io/shop/a", NULL, da);
	refused("redis", NULL, ST_NOT_FOUND, "called redis");
	assert_chosen("localhost:5000/x/y:1.0", NULL, dd);
	refused("localhost:5000/x/y", NULL, ST_NOT_FOUND, "called localhost");
	assert_chosen(da, NULL, da);
	(void)snprintf(at, sizeof(at), "docker.io/shop/a@%s", da);
	assert_chosen(at, NULL, da);
}

/* One image under two names, or beside something that is not an image. */
static void same_image(void **state)
{
	json_t *a = image_of("a"), *again = json_deep_copy(a);
	json_t *made = with_note(image_of("how it was made"),
				 "vnd.docker.reference.type",
				 "attestation-manifest");
	json_t *made_too = for_platform(image_of("x"), "unknown", "unknown");
	char da[80];

	(void)state;
	strcpy(da, digest_of(a));
	write_index(json_pack("[o,o,o,o]", called(a, "docker.io/x:1"),
			      called(again, "docker.io/x:2"), made, made_too));
	assert_chosen(NULL, NULL, da);
	assert_chosen("docker.io/x:2", NULL, da);
	assert_chosen("1", NULL, da);
}

static void variants(void **state)
{
	json_t *v6 = for_variant(image_of("v6"), "arm", "v6");
	json_t *v7 = for_variant(image_of("v7"), "arm", "v7");
	json_t *a64 = for_variant(image_of("arm64"), "arm64", "v8");
	json_t *amd = for_platform(image_of("amd64"), "linux", "amd64");
	json_t *amd3 = for_variant(image_of("v3"), "amd64", "v3");
	json_t *mips = for_platform(image_of("mips"), "linux", "mips");
	char d6[80], d7[80], d64[80], da[80], da3[80];

	(void)state;
	strcpy(d6, digest_of(v6));
	strcpy(d7, digest_of(v7));
	strcpy(d64, digest_of(a64));
	strcpy(da, digest_of(amd));
	strcpy(da3, digest_of(amd3));
	write_index(json_pack(
		"[o]", add_json(json_pack("{s:[o,o,o,o,o,o]}", "manifests", v6,
					  v7, a64, amd, amd3, mips),
				"application/vnd.oci.image.index.v1+json")));
	assert_chosen(NULL, "linux/arm/v6", d6);
	assert_chosen(NULL, "linux/arm/v7", d7);
	assert_chosen(NULL, "linux/armhf", d7);
	assert_chosen(NULL, "Linux/ARM64", d64);
	assert_chosen(NULL, "linux/arm64/v8", d64);
	assert_chosen(NULL, "aarch64", d64);
	assert_chosen(NULL, "linux/amd64", da);
	assert_chosen(NULL, "linux/amd64/v3", da3);
	assert_chosen(d7, NULL, d7);
	refused(NULL, "linux/arm", ST_USAGE, "linux/arm/v6, linux/arm/v7");
	refused(NULL, "linux/arm/v5", ST_NOT_FOUND, "linux/arm/v6");
	refused(NULL, "linux/mips64", ST_NOT_FOUND, "linux/mips");
	refused(NULL, "windows/amd64", ST_NOT_FOUND, "linux/mips");
}

/* If the index has no platform, the image's configuration tells it. */
static void platform_of_config(void **state)
{
	json_t *config = add_json(json_pack("{s:s, s:s}", "os", "linux",
					    "architecture", "s390x"),
				  "application/vnd.oci.image.config.v1+json");
	json_t *m = add_json(json_pack("{s:o, s:[o]}", "config", config,
				       "layers", add_layer("x", NULL)),
			     "application/vnd.oci.image.manifest.v1+json");
	char digest[80];

	(void)state;
	strcpy(digest, digest_of(m));
	write_index(json_pack("[o]", m));
	assert_chosen(NULL, NULL, digest);
	assert_chosen(NULL, "linux/s390x", digest);
	refused(NULL, "linux/arm64", ST_NOT_FOUND, "linux/s390x");
}

static void no_images(void **state)
{
	json_t *chart = add_json(json_pack("{s:s}", "x", "y"),
				 "application/vnd.cncf.helm.config.v1+json");

	(void)state;
	write_index(json_pack(
		"[o]", add_json(json_pack("{s:o, s:[o]}", "config", chart,
					  "layers", add_layer("x", NULL)),
				"application/vnd.oci.image.manifest.v1+json")));
	refused(NULL, NULL, ST_BAD_INPUT, "something other than an image");
	write_index(json_pack("[o]", for_platform(image_of("x"), "unknown",
						  "unknown")));
	refused(NULL, NULL, ST_BAD_INPUT, "holds no image");
	write_index(json_pack("[o]", called(image_of("x"), "a\033[31m:b")));
	refused("c", NULL, ST_NOT_FOUND, "a\\x1b[31m:b");
}

/*
 * A layout need not contain everything that its index names: other platforms,
 * images.
 */
static void missing_others(void **state)
{
	json_t *a = called(image_of("a"), "docker.io/shop/a:1");
	json_t *b = add_json(json_pack("{s:[o]}", "manifests", image_of("b")),
			     "application/vnd.oci.image.index.v1+json");
	char da[80], gone[128];

	(void)state;
	strcpy(da, digest_of(a));
	(void)snprintf(gone, sizeof(gone), "blobs/sha256/%s", digest_of(b) + 7);
	assert_int_equal(unlink(in(gone)), 0);
	write_index(json_pack("[o,o]", a, called(b, "docker.io/shop/b:1")));
	assert_chosen("shop/a:1", NULL, da);
	refused("shop/b:1", NULL, ST_BAD_INPUT, gone + 13);
	refused("1", NULL, ST_USAGE, "docker.io/shop/a:1, docker.io/shop/b:1");
	/* and one whose content does not match its name */
	spit(in(gone), "{\"manifests\": []}", 17);
	assert_chosen("shop/a:1", NULL, da);
	refused("shop/b:1", NULL, ST_BAD_INPUT, "bytes long");
}

/* Nor need everything that it names be readable. */
static void bad_others(void **state)
{
	static const char blake[] =
		"blake3:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
	json_t *a = called(image_of("a"), "docker.io/shop/a:1");
	json_t *b = called(image_of("b"), "docker.io/shop/b:1");
	json_t *c = called(image_of("c"), "docker.io/shop/c:1");
	char da[80];

	(void)state;
	strcpy(da, digest_of(a));
	(void)json_object_set_new(b, "digest", json_string(blake));
	(void)json_object_del(c, "size");
	write_index(json_pack("[o,o,o]", b, a, c));
	assert_chosen("shop/a:1", NULL, da);
	refused("shop/b:1", NULL, ST_BAD_INPUT, "is not a sha256");
	refused("shop/c:1", NULL, ST_BAD_INPUT, "has no size");
	refused("shop/d:1", NULL, ST_NOT_FOUND, "docker.io/shop/b:1");
	refused(NULL, NULL, ST_USAGE, "holds 3 images");
}

/* An image that is chosen by its digest, of either kind, needs no platform. */
static void by_digest(void **state)
{
	static const char text[] = "{\"layers\": []}";
	struct sha512_ctx ctx;
	uint8_t sum[SHA512_DIGEST_SIZE];
	char digest[160] = "sha512:", name[200];
	size_t i;
	json_t *d;

	(void)state;
	sha512_init(&ctx);
	sha512_update(&ctx, strlen(text), (const uint8_t *)text);
	sha512_digest(&ctx, sizeof(sum), sum);
	for (i = 0; i < sizeof(sum); i++)
		(void)snprintf(digest + 7 + 2 * i, 3, "%02x", sum[i]);
	d = for_platform(json_pack("{s:s, s:I}", "digest", digest, "size",
				   (json_int_t)strlen(text)),
			 "linux", "m68k");
	write_index(json_pack("[o,o]", d, image_of("a")));
	assert_int_equal(mkdir(in("blobs/sha512"), 0755), 0);
	(void)snprintf(name, sizeof(name), "blobs/sha512/%s", digest + 7);
	spit(in(name), text, strlen(text));
	/* (the image is found, but is empty) */
	refused(digest, NULL, ST_BAD_INPUT, "has 0 layers");
	(void)snprintf(name, sizeof(name), "shop/a@%s", digest);
	refused(name, NULL, ST_BAD_INPUT, "has 0 layers");
	refused(digest, "linux/mips", ST_NOT_FOUND, "linux/m68k");
}

/* For some readers, the last of two members counts, for others the first. */
static void index_twice(void **state)
{
	static const char *const more[] = { "index.json", "./index.json",
					    "/index.json" };
	char path[64];
	size_t i;

	(void)state;
	(void)snprintf(path, sizeof(path), "%s/i.tar", dir);
	for (i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
		const struct item items[] = { { "index.json", 0, "{}" },
					      { "oci-layout", 0, "{}" },
					      { more[i], 0, "{}" },
					      { 0 } };

		write_tar(path, NULL, items);
		assert_bad(oci_probe(path), "twice");
	}
}

/* Things beside an image that say that they are not images. */
static void artifacts(void **state)
{
	json_t *a = image_of("a"), *sig = image_of("signature");
	char da[80];

	(void)state;
	strcpy(da, digest_of(a));
	(void)json_object_set_new(
		sig, "artifactType",
		json_string("application/vnd.dev.sigstore.bundle.v0.3+json"));
	(void)json_object_set_new(
		a, "artifactType",
		json_string("application/vnd.oci.image.config.v1+json"));
	write_index(json_pack("[o,O]", a, sig));
	assert_chosen(NULL, NULL, da);
	write_index(json_pack("[o]", sig));
	refused(NULL, NULL, ST_BAD_INPUT, "holds no image");
}

/* One document must not be an image for us and an index for another reader. */
static void two_meanings(void **state)
{
	static const char manifest[] =
		"application/vnd.oci.image.manifest.v1+json";
	static const char index[] = "application/vnd.oci.image.index.v1+json";
	const char *said[][2] = { { manifest, index }, { index, manifest } };
	json_t *doc = json_pack("{s:[o], s:[o]}", "layers",
				add_layer("a", NULL), "manifests",
				image_of("b"));
	size_t i;

	(void)state;
	write_index(json_pack("[o]", add_json(json_incref(doc), manifest)));
	refused(NULL, NULL, ST_BAD_INPUT, "an image and an index at once");
	write_index(json_pack("[o]", add_json(json_incref(doc), index)));
	refused(NULL, NULL, ST_BAD_INPUT, "an image and an index at once");
	json_decref(doc);
	/* the type in its descriptor, its own type, and what it really is */
	for (i = 0; i < 4; i++) {
		doc = i & 1 ? json_pack("{s:[o]}", "manifests", image_of("b")) :
			      json_pack("{s:[o]}", "layers",
					add_layer("a", NULL));
		if (i < 2)
			(void)json_object_set_new(doc, "mediaType",
						  json_string(said[i][1]));
		write_index(json_pack(
			"[o]", add_json(doc, said[i & 1][i < 2 ? 0 : 1])));
		refused(NULL, NULL, ST_BAD_INPUT, "has the type application/");
	}
	/* index.json is one, too */
	doc = json_pack("{s:[], s:[o]}", "layers", "manifests", image_of("b"));
	assert_int_equal(json_dump_file(doc, in("index.json"), 0), 0);
	json_decref(doc);
	refused(NULL, NULL, ST_BAD_INPUT, "an image and an index at once");
}

/* An index that names @d @nr times, in an index that does so, and so on. */
static json_t *nested(json_t *d, int levels, int nr)
{
	while (levels--) {
		json_t *list = json_array();
		int k;

		for (k = 0; k < nr; k++)
			(void)json_array_append(list, d);
		json_decref(d);
		d = add_json(json_pack("{s:o}", "manifests", list),
			     "application/vnd.oci.image.index.v1+json");
	}
	return d;
}

/* Indexes that contain each other many times are not read for ever. */
static void many_indexes(void **state)
{
	(void)state;
	write_index(json_pack("[o]", nested(image_of("deep"), 3, 200)));
	refused(NULL, NULL, ST_BAD_INPUT, "too many indexes");
	/* few indexes, but large ones, whose images would fill the memory */
	write_index(json_pack("[o]", nested(image_of("wide"), 2, 250)));
	refused(NULL, NULL, ST_BAD_INPUT, "too many indexes");
}

/*----------------------------------------------------------------
 * What "docker save" writes
 *--------------------------------------------------------------*/

/*
 * Writes a layer's tar file to @path in the layout; returns the digest of its
 * contents.
 */
static void put_layer(const char *path, const char *file, char digest[72])
{
	const struct item items[] = { { file, 0, "contents" }, { 0 } };
	char *text;
	size_t size;

	write_tar(in(path), NULL, items);
	text = slurp(in(path), &size);
	sha256_text(text, size, digest);
	free(text);
}

static void put_json(const char *path, json_t *doc)
{
	assert_int_equal(json_dump_file(doc, in(path), 0), 0);
	json_decref(doc);
}

/* Writes an image's configuration, named by its digest; returns its name. */
static json_t *put_config(const char *diff1, const char *diff2)
{
	json_t *doc = json_pack("{s:s, s:s, s:{s:s, s:[s,s]}}", "os", "linux",
				"architecture", "amd64", "rootfs", "type",
				"layers", "diff_ids", diff1, diff2);
	char *text = json_dumps(doc, 0), digest[72], name[80];

	sha256_text(text, strlen(text), digest);
	(void)snprintf(name, sizeof(name), "%s.json", digest + 7);
	spit(in(name), text, strlen(text));
	free(text);
	json_decref(doc);
	return json_string(name);
}

#define ID_A "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define ID_B "bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb"

/* Two layers, the second one behind a link. */
static void make_docker(void)
{
	char one[72], two[72];

	drop_dir(dir);
	dir = make_dir();
	(void)snprintf(layout, sizeof(layout), "%s/layout", dir);
	assert_int_equal(mkdir(layout, 0755), 0);
	assert_int_equal(mkdir(in(ID_A), 0755), 0);
	assert_int_equal(mkdir(in(ID_B), 0755), 0);
	put_layer(ID_A "/layer.tar", "a", one);
	put_layer(ID_B ".tar", "b", two);
	assert_int_equal(symlink("../" ID_B ".tar", in(ID_B "/layer.tar")), 0);
	put_json(ID_A "/json", json_pack("{s:s}", "id", ID_A));
	put_json(ID_B "/json",
		 json_pack("{s:s, s:s, s:s, s:s}", "id", ID_B, "parent", ID_A,
			   "os", "linux", "architecture", "amd64"));
	put_json("manifest.json",
		 json_pack("[{s:o, s:[s], s:[s,s]}]", "Config",
			   put_config(one, two), "RepoTags", "shop/a:latest",
			   "Layers", ID_A "/layer.tar", ID_B "/layer.tar"));
	put_json("repositories",
		 json_pack("{s:{s:s}}", "shop/a", "latest", ID_B));
}

static struct layer_stats unpacked;

/* Unpacks a layer, whose digest is that of its content. */
static int unpack_layer(const struct oci *oci, unsigned int n)
{
	char root[64];
	struct stream *s;
	int ret;

	(void)snprintf(root, sizeof(root), "%s/root", dir);
	(void)mkdir(root, 0755);
	if (oci_open_layer(oci, n, &s))
		return -1;
	ret = layer_unpack(s, root, &unpacked);
	stream_close(s);
	return ret;
}

static void check_docker(const char *path, enum image_kind kind)
{
	const struct oci_want shop = { .ref = "shop/a" };
	const struct oci_want nope = { .ref = "nope" };
	struct oci oci;

	assert_int_equal(oci_probe(path), kind);
	assert_works(oci_open(path, kind, &shop, &oci));
	assert_int_equal(oci.nr, 2);
	assert_works(unpack_layer(&oci, 0));
	assert_works(unpack_layer(&oci, 1));
	oci_close(&oci);
	assert_fails(oci_open(path, kind, &nope, &oci), "shop/a:latest");
}

static void docker_save(void **state)
{
	static const char *const ways[] = {
		"tar -cf %s/i.tar -C %s manifest.json " ID_A " " ID_B " " ID_B
		".tar repositories $(cd %s; ls [0-9a-f]*.json)",
		"tar -czf %s/i.tar -C %s . # %s",
	};
	char cmd[512], path[64];
	size_t i;

	(void)state;
	make_docker();
	check_docker(layout, IMAGE_DOCKER);
	(void)snprintf(path, sizeof(path), "%s/i.tar", dir);
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		(void)snprintf(cmd, sizeof(cmd), ways[i], dir, layout, layout);
		assert_int_equal(system(cmd), 0);
		check_docker(path, IMAGE_DOCKER);
	}
	/* before there was a manifest.json */
	assert_int_equal(unlink(in("manifest.json")), 0);
	check_docker(layout, IMAGE_DOCKER_OLD);
	(void)snprintf(cmd, sizeof(cmd), "tar -cf %s/i.tar -C %s .", dir,
		       layout);
	assert_int_equal(system(cmd), 0);
	check_docker(path, IMAGE_DOCKER_OLD);
}

static void bad_docker(void **state)
{
	static const char *const bad[] = {
		"{}",
		"[7]",
		"[{}]",
		"[]",
		"[{\"Config\":\"no.json\",\"Layers\":[\"x\"]}]",
		"[{\"Config\":\"../x.json\",\"Layers\":[\"x\"]}]",
		"[{\"Config\":\"c.json\",\"Layers\":[]}]",
		"[{\"Config\":\"c.json\",\"Layers\":[7]}]",
		"[{\"Config\":\"c.json\",\"Layers\":[\"../../etc/passwd\"]}]",
		"[{\"Config\":\"c.json\",\"Layers\":[\"/etc/passwd\"]}]",
		"[{\"Config\":\"c.json\",\"Layers\":[\"a\",\"b\"]}]",
	};
	static const char config[] = "{\"rootfs\":{\"diff_ids\":[\"sha256:" ID_A
				     "\"]}}";
	struct oci oci;
	size_t i;

	(void)state;
	make_docker();
	spit(in("c.json"), config, strlen(config));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		spit(in("manifest.json"), bad[i], strlen(bad[i]));
		assert_bad(oci_open(layout, IMAGE_DOCKER, &anything, &oci), "");
	}
}

/*
 * An image with a bad configuration does not matter if another image is wanted.
 */
static void bad_docker_others(void **state)
{
	const struct oci_want shop = { .ref = "shop/a" };
	const struct oci_want other = { .ref = "other" };
	json_t *doc, *gone;
	struct oci oci;

	(void)state;
	make_docker();
	doc = json_load_file(in("manifest.json"), 0, NULL);
	gone = json_pack("{s:s, s:[s], s:[s]}", "Config", "gone.json",
			 "RepoTags", "other:latest", "Layers", "x.tar");
	assert_int_equal(json_array_insert_new(doc, 0, gone), 0);
	put_json("manifest.json", doc);
	assert_works(oci_open(layout, IMAGE_DOCKER, &shop, &oci));
	oci_close(&oci);
	assert_bad(oci_open(layout, IMAGE_DOCKER, &other, &oci), "gone.json");
	put_json("repositories",
		 json_pack("{s:{s:s}, s:{s:s}}", "other", "latest", "gone",
			   "shop/a", "latest", ID_B));
	assert_works(oci_open(layout, IMAGE_DOCKER_OLD, &shop, &oci));
	oci_close(&oci);
	assert_bad(oci_open(layout, IMAGE_DOCKER_OLD, &other, &oci), "gone");
}

static void damaged_docker(void **state)
{
	struct oci oci;
	char path[128];

	(void)state;
	make_docker();
	assert_works(oci_open(layout, IMAGE_DOCKER, &anything, &oci));
	(void)snprintf(path, sizeof(path), "%s", in(ID_A "/layer.tar"));
	put_layer(ID_A "/layer.tar", "another", (char[72]){ 0 });
	assert_bad(unpack_layer(&oci, 0), "damaged");
	/* a link out of the image, a pipe, nothing */
	assert_int_equal(unlink(path), 0);
	assert_int_equal(symlink("/etc/passwd", path), 0);
	assert_bad(unpack_layer(&oci, 0), "cannot open");
	assert_int_equal(unlink(path), 0);
	assert_int_equal(mkfifo(path, 0644), 0);
	assert_bad(unpack_layer(&oci, 0), "not a regular file");
	assert_int_equal(unlink(path), 0);
	assert_bad(unpack_layer(&oci, 0), "cannot open");
	oci_close(&oci);
}

/*
 * Only the compression of an archive tells, at its end, whether it is complete;
 * no part of the image does, and reading the image ends before that.
 */
static void damaged_outside(void **state)
{
	static const struct {
		const char *how, *kind;
		size_t behind; /* the checksum's distance from the end */
		const char *why;
	} ways[] = {
		{ "gzip", "manifest.json", 8, "incorrect data check" },
		{ "gzip", "repositories", 8, "incorrect data check" },
		{ "gzip", "index.json", 8, "incorrect data check" },
		{ "xz", "repositories", 20, "" },
		{ "zstd --check", "repositories", 4, "" },
		{ "bzip2", "repositories", 4, "" },
	};
	char cmd[256], path[64], *packed;
	size_t i, size;

	(void)state;
	make_docker();
	(void)snprintf(path, sizeof(path), "%s/i.tar.x", dir);
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		(void)snprintf(
			cmd, sizeof(cmd),
			"cd %s && rm -f *.json repositories && echo '{}' >%s && tar -c . | %s >%s",
			layout, ways[i].kind, ways[i].how, path);
		assert_int_equal(system(cmd), 0);
		assert_true(oci_probe(path) > IMAGE_NONE);
		packed = slurp(path, &size);
		packed[size - ways[i].behind] ^= 1;
		spit(path, packed, size);
		assert_bad(oci_probe(path), ways[i].why);
		packed[size - ways[i].behind] ^= 1;
		spit(path, packed, size - 1);
		assert_bad(oci_probe(path), "");
		spit(path, packed, size / 2);
		assert_bad(oci_probe(path), "");
		free(packed);
	}
}

/* For data from a pipe, this is known only when all was read. */
static void image_as_archive(void **state)
{
	char cmd[256], path[64], root[64];
	struct layer_stats stats;
	struct stream *s;

	(void)state;
	make_docker();
	(void)snprintf(path, sizeof(path), "%s/i.tar", dir);
	(void)snprintf(root, sizeof(root), "%s/root", dir);
	assert_int_equal(mkdir(root, 0755), 0);
	(void)snprintf(cmd, sizeof(cmd), "tar -cf %s -C %s .", path, layout);
	assert_int_equal(system(cmd), 0);
	assert_works(stream_open_file(path, &s));
	assert_works(layer_unpack(s, root, &stats));
	stream_close(s);
	assert_true(image_names_is_image(&stats.names));
	assert_null(image_names_dir(&stats.names));
}

#define ID_ "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff"

/* What "docker save" wrote may be in a directory, or beside a file, as well. */
static void beside_others(void **state)
{
	static const char *const images[][3] = {
		{ "manifest.json", ID_ ".json", "0123456789abcdef/layer.tar" },
		{ "manifest.json", ID_ "/layer.tar", "x.json" },
		{ "manifest.json", "sha256:" ID_, "repositories" },
		{ "index.json", "oci-layout", "blobs/sha256/" ID_ },
	};
	struct image_names top, below;
	char name[256];
	size_t i, j;

	(void)state;
	for (i = 0; i < sizeof(images) / sizeof(images[0]); i++) {
		top = below = (struct image_names){ 0 };
		for (j = 0; j < 3; j++) {
			image_names_add(&top, images[i][j]);
			(void)snprintf(name, sizeof(name), "img/%s",
				       images[i][j]);
			image_names_add(&below, name);
		}
		assert_true(image_names_is_image(&top));
		assert_false(image_names_is_mixed(&top));
		image_names_add(&top, "./README");
		assert_false(image_names_is_image(&top));
		assert_true(image_names_is_mixed(&top));
		assert_string_equal(image_names_dir(&below), "img");
		image_names_add(&below, "img/README");
		assert_null(image_names_dir(&below));
	}
	/* a file system may have any one of them */
	top = (struct image_names){ 0 };
	image_names_add(&top, "manifest.json");
	image_names_add(&top, "index.json");
	image_names_add(&top, "blobs/x");
	image_names_add(&top, "etc/passwd");
	assert_false(image_names_is_mixed(&top));
}

/* libarchive does not say what is wrong with these. */
static void reasons(void **state)
{
	static const char *const ways[] = {
		"tar -czf %s/x -C %s . && truncate -s -4 %s/x",
		"printf '\\37\\213\\10' >%s/x # %s %s",
		"cd %s && truncate -s 9000 a && tar -S --format=posix -cf x a && "
		"sed -i 's/GNU.sparse.major=1/GNU.sparse.major=9/' x # %s %s",
		"cd %s && printf 'x\\n' >a && truncate -s 9000 a && "
		"tar -S --format=posix -cf x a && "
		"sed -i 's/^9000$/-000/' x # %s %s",
	};
	char cmd[512], path[64];
	struct layer_stats stats;
	struct stream *s;
	size_t i;

	(void)state;
	make_layout();
	(void)snprintf(path, sizeof(path), "%s/x", dir);
	for (i = 0; i < sizeof(ways) / sizeof(ways[0]); i++) {
		(void)snprintf(cmd, sizeof(cmd), ways[i], dir, layout, dir);
		assert_int_equal(system(cmd), 0);
		if (!oci_probe(path)) {
			assert_works(stream_open_file(path, &s));
			assert_true(layer_unpack(s, layout, &stats) < 0);
			stream_close(s);
		}
		assert_int_equal(err_status(), ST_BAD_INPUT);
		assert_null(strstr(err_text(), "null"));
		err_clear();
	}
}

/* "tar -c DIR" of a layout is not a file system either. */
static void layout_in_directory(void **state)
{
	static const char *const names[] = { "./",
					     "./a/",
					     "./a/oci-layout",
					     "./a/blobs/",
					     "./a/blobs/sha256/00",
					     "a/index.json",
					     NULL };
	static const char *const others[] = { "a/b", "c", "./c/",
					      "c/index.json", "index.json" };
	struct image_names n = { 0 }, more;
	size_t i;

	(void)state;
	for (i = 0; names[i]; i++) {
		assert_null(image_names_dir(&n));
		image_names_add(&n, names[i]);
	}
	assert_false(image_names_is_image(&n));
	assert_string_equal(image_names_dir(&n), "a");
	for (i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
		more = n;
		image_names_add(&more, others[i]);
		assert_null(image_names_dir(&more));
	}
	/* a layer may have any of these in a directory */
	n = (struct image_names){ 0 };
	image_names_add(&n, "app/index.json");
	assert_null(image_names_dir(&n));
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(directory),
		T(one_tar),
		T(not_a_layout),
		T(platforms),
		T(refs),
		T(damaged_layer),
		T(damaged_manifest),
		T(missing_layer),
		T(bad_digests),
		T(sha512),
		T(bad_documents),
		T(bad_layers),
		T(long_chain),
		T(whole_names),
		T(same_image),
		T(variants),
		T(platform_of_config),
		T(no_images),
		T(missing_others),
		T(bad_others),
		T(by_digest),
		T(index_twice),
		T(artifacts),
		T(two_meanings),
		T(many_indexes),
		T(docker_save),
		T(bad_docker),
		T(bad_docker_others),
		T(damaged_docker),
		T(damaged_outside),
		T(image_as_archive),
		T(layout_in_directory),
		T(beside_others),
		T(reasons),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
