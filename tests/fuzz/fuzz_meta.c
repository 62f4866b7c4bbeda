// SPDX-License-Identifier: GPL-2.0-only
/*
 * Fuzzes a metadata tool with arbitrary bytes on the device.
 *
 * A device with random bytes would be refused at the label's checksum.  So an
 * input is a list of edits to a device that the engine made:
 *
 *	u8 which pool
 *	{ u16 block, u16 offset, u8 length and flags, bytes }...
 *
 * and edited blocks get a valid checksum again, unless a flag asks for a bad
 * one.  The program is built once for each tool, with TOOL_MAIN and the
 * arguments in TOOL_ARGS; hpm_restore gets the input as its text instead.
 */
#include <sys/mman.h>
#include <unistd.h>

#include "main.h"
#include "pool_maker.h"

#define NR_POOLS    4
#define POOL_BLOCKS 1024u
#define BAD_SUM	    0x80
#define MAX_EDITS   64

int LLVMFuzzerTestOneInput(const u8 *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);

static u8 *pool_bytes[NR_POOLS];
static u32 pool_seed[NR_POOLS];
static int in_fd, out_fd, text_fd;
static u8 *device;
static const char *const args[] = { TOOL_ARGS };

static int memory_file(const char *name, size_t size)
{
	int fd = memfd_create(name, 0);

	if (fd < 0 || ftruncate(fd, size))
		abort();
	return fd;
}

static void fd_path(int fd, char out[32])
{
	snprintf(out, 32, "/proc/self/fd/%d", fd);
}

static void make_one(unsigned int i)
{
	const struct make_params p = {
		.data_blocks = 1 << 16,
		.large_shift = i % 2 ? 4 : 6,
		.steps = 700 + 300 * i,
		.vol_blocks = 1 << 12,
		.max_vols = 5,
		.hold = i & 1,
		.dying = i & 2,
		.journal = i > 1,
		.seed = i + 1,
	};
	const struct hpm_label *l;
	struct dev dev;
	char path[32];

	fd_path(in_fd, path);
	memset(device, 0, POOL_BLOCKS * HPM_BLOCK_SIZE);
	if (dev_open(&dev, path, DEV_WRITE) || make_pool(&dev, &p))
		abort();
	dev_close(&dev);
	pool_bytes[i] = malloc(POOL_BLOCKS * HPM_BLOCK_SIZE);
	if (!pool_bytes[i])
		abort();
	memcpy(pool_bytes[i], device, POOL_BLOCKS * HPM_BLOCK_SIZE);
	l = (void *)device;
	pool_seed[i] = uuid_seed(l->uuid);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	size_t size = POOL_BLOCKS * HPM_BLOCK_SIZE;
	unsigned int i;

	(void)argc;
	(void)argv;
	in_fd = memory_file("in", size);
	out_fd = memory_file("out", 2 * size);
	text_fd = memory_file("text", 0);
	device = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, in_fd, 0);
	if (device == MAP_FAILED)
		abort();
	tool_begin("fuzz");
	hpm_env_seed(1);
	for (i = 0; i < NR_POOLS; i++)
		make_one(i);
	tool.out = tool.err = fopen("/dev/null", "w");
	return tool.out ? 0 : 1;
}

static unsigned int edited[MAX_EDITS];

static unsigned int __maybe_unused edit(const u8 *data, size_t size, u32 seed)
{
	unsigned int n = 0, block, at, len, i;
	u8 flags[MAX_EDITS];

	while (size >= 5 && n < MAX_EDITS) {
		block = get_unaligned_le16(data) % POOL_BLOCKS;
		at = get_unaligned_le16(data + 2) % HPM_BLOCK_SIZE;
		flags[n] = data[4];
		len = min_t(size_t, data[4] & 0x7f, size - 5);
		len = min_t(unsigned int, len, HPM_BLOCK_SIZE - at);
		memcpy(device + (size_t)block * HPM_BLOCK_SIZE + at, data + 5,
		       len);
		edited[n++] = block;
		data += 5 + len;
		size -= 5 + len;
	}
	for (i = 0; i < n; i++)
		if (!(flags[i] & BAD_SUM))
			block_seal(edited[i] ? seed : label_seed(),
				   device + (size_t)edited[i] * HPM_BLOCK_SIZE);
	return n;
}

static void run_tool(void)
{
	char in[32], out[32], text[32], name[] = "fuzz";
	char *argv[16] = { name };
	char copy[16][40];
	unsigned int i;

	fd_path(in_fd, in);
	fd_path(out_fd, out);
	fd_path(text_fd, text);
	for (i = 0; i < ARRAY_SIZE(args); i++) {
		const char *a = args[i];

		if (!strcmp(a, "IN"))
			a = in;
		else if (!strcmp(a, "OUT"))
			a = out;
		else if (!strcmp(a, "TEXT"))
			a = text;
		strcpy(copy[i], a);
		argv[i + 1] = copy[i];
	}
	TOOL_MAIN(ARRAY_SIZE(args) + 1, argv);
}

#ifdef FUZZ_TEXT
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	if (ftruncate(text_fd, 0) ||
	    pwrite(text_fd, data, size, 0) != (ssize_t)size)
		abort();
	run_tool();
	return 0;
}
#else
int LLVMFuzzerTestOneInput(const u8 *data, size_t size)
{
	const u8 *whole;
	static unsigned int last = NR_POOLS;
	unsigned int i, n, pool;

	if (!size)
		return 0;
	pool = data[0] % NR_POOLS;
	whole = pool_bytes[pool];
	/*
	 * Edits are undone; after a tool that writes, everything is restored.
	 */
	if (pool != last || !strcmp(args[0], "--auto-repair"))
		memcpy(device, whole, POOL_BLOCKS * HPM_BLOCK_SIZE);
	last = pool;
	n = edit(data + 1, size - 1, pool_seed[pool]);
	run_tool();
	for (i = 0; i < n; i++)
		memcpy(device + (size_t)edited[i] * HPM_BLOCK_SIZE,
		       whole + (size_t)edited[i] * HPM_BLOCK_SIZE,
		       HPM_BLOCK_SIZE);
	return 0;
}
#endif
