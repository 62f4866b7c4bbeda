# SPDX-License-Identifier: GPL-2.0-only
#
# Fuzzing with libFuzzer, under ASan and UBSan.
#
#	make fuzz FUZZ_TIME=3600	an hour, shared out among the targets
#	make fuzz FUZZ=fuzz_hpm_check	one of them
#
# What is found is kept in build/fuzz/<target>/ and is tried first next time.

FUZZ_DIR    := $(TOP)/tests/fuzz
FUZZ_OUT    := $(BUILD)/fuzz
FUZZ_TIME   ?= 60
FUZZ_CFLAGS := -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_SRC     = $(META_SRC) $(META_TESTS)/pool_maker.c
FUZZ_OBJ     = $(patsubst $(TOP)/%.c,$(FUZZ_OUT)/obj/%.o,$(LIBHPM_SRC) $(FUZZ_SRC))
FUZZ_ALL    := $(META_TOOLS:%=fuzz_%)
FUZZ_ALL    := $(filter-out fuzz_hpm_metadata_size,$(FUZZ_ALL))
FUZZ        ?= $(FUZZ_ALL)

ARGS_fuzz_hpm_check   := "--auto-repair", "IN"
ARGS_fuzz_hpm_dump    := "IN"
ARGS_fuzz_hpm_restore := "-i", "TEXT", "-o", "OUT"
ARGS_fuzz_hpm_repair  := "-b", "64K", "-i", "IN", "-o", "OUT"
ARGS_fuzz_hpm_ls      := "--json", "IN"
ARGS_fuzz_hpm_delta   := "--vol1", "0", "--vol2", "1", "IN"

PKGS_fuzz := clang libclang-rt-14-dev gcc libc6-dev make

.SECONDEXPANSION:

$(FUZZ_OUT)/obj/%.o: $(TOP)/%.c $$(LIBHPM_HDR) $$(META_HDR) $$(wildcard $(META_TESTS)/*.h) | $$(DEPS)/fuzz
	@mkdir -p $(@D)
	@echo "CC        $*.c (fuzz)"
	@clang $(META_CFLAGS) -Wno-shadow -Wno-gnu-variable-sized-type-not-at-end \
		-Wno-sign-compare \
		$(FUZZ_CFLAGS) -I$(META_TESTS) -c -o $@ $<

$(FUZZ_ALL:%=$(FUZZ_OUT)/%.bin): $(FUZZ_OUT)/%.bin: $(FUZZ_DIR)/fuzz_meta.c $$(FUZZ_OBJ)
	@echo "LD        $*"
	@clang $(META_CFLAGS) -Wno-shadow -Wno-sign-compare $(FUZZ_CFLAGS) -fsanitize=fuzzer \
		-I$(META_TESTS) -DTOOL_MAIN=$(*:fuzz_%=%)_main \
		-DTOOL_ARGS='$(ARGS_$*)' $(if $(findstring restore,$*),-DFUZZ_TEXT) \
		-o $@ $^ -lm

$(FUZZ_OUT)/corpus/stamp: $(FUZZ_DIR)/corpus.c $(LIBHPM_HDR)
	@mkdir -p $(@D)
	@gcc $(META_CFLAGS) -O1 -o $(FUZZ_OUT)/corpus/make $(FUZZ_DIR)/corpus.c
	@$(FUZZ_OUT)/corpus/make $(@D)
	@touch $@

.PHONY: fuzz
fuzz: $$(patsubst %,$(FUZZ_OUT)/%.bin,$$(FUZZ)) $(FUZZ_OUT)/corpus/stamp ## fuzz the tools and the format (FUZZ_TIME=seconds, FUZZ=target)
	@$(FUZZ_DIR)/run.sh $(FUZZ_OUT) $(FUZZ_TIME) $(FUZZ)

# A short run.
.PHONY: test-fuzz
test-fuzz: FUZZ_TIME := 60
test-fuzz: fuzz

