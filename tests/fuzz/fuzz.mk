# SPDX-License-Identifier: GPL-2.0-only
#
# Fuzzing with libFuzzer, under ASan and UBSan.
#
#	make fuzz TIME=3600		an hour, divided among the targets
#	make fuzz FUZZ=fuzz_hpm_check	one target
#
# The inputs that are found are kept in build/fuzz/<target>/; the next run tries
# them first.

FUZZ_DIR    := $(TOP)/tests/fuzz
FUZZ_OUT    := $(BUILD)/fuzz
# TIME has a default in another fragment; only a TIME that was given counts here.
FUZZ_TIME   ?= $(if $(filter file,$(origin TIME)),60,$(TIME))
FUZZ_CFLAGS := -O1 -g -fsanitize=fuzzer-no-link,address,undefined \
	-fno-sanitize-recover=all -fno-omit-frame-pointer
FUZZ_SRC     = $(META_SRC) $(META_TESTS)/pool_maker.c $(TEST_LIB_SRC)
FUZZ_OBJ     = $(patsubst $(TOP)/%.c,$(FUZZ_OUT)/obj/%.o,$(LIBHPM_SRC) $(FUZZ_SRC))
# fuzz_meta.c fuzzes each of the tools; each other target has a file of its own.
FUZZ_TOOLS  := $(filter-out fuzz_hpm_metadata_size,$(META_TOOLS:%=fuzz_%))
FUZZ_OWN    := fuzz_table fuzz_message fuzz_journal
FUZZ        ?= $(FUZZ_TOOLS) $(FUZZ_OWN)
FUZZ_WORDS   = $(patsubst %,$(FUZZ_OUT)/obj/%.o,dm-hpmapper/parse tests/fuzz/words)

ARGS_fuzz_hpm_check   := "--auto-repair", "IN"
ARGS_fuzz_hpm_dump    := "IN"
ARGS_fuzz_hpm_restore := "-i", "TEXT", "-o", "OUT"
ARGS_fuzz_hpm_repair  := "-b", "64K", "-i", "IN", "-o", "OUT"
ARGS_fuzz_hpm_ls      := "--json", "IN"
ARGS_fuzz_hpm_delta   := "--vol1", "0", "--vol2", "1", "IN"

PKGS_fuzz := clang libclang-rt-14-dev gcc libc6-dev make

.SECONDEXPANSION:

$(FUZZ_OUT)/obj/%.o: $(TOP)/%.c $$(LIBHPM_HDR) $$(TEST_LIB_HDR) $$(META_HDR) $$(wildcard $(META_TESTS)/*.h) | $$(DEPS)/fuzz
	@mkdir -p $(@D)
	@echo "CC        $*.c (fuzz)"
	@clang $(META_CFLAGS) -Wno-shadow -Wno-gnu-variable-sized-type-not-at-end \
		-Wno-sign-compare \
		$(FUZZ_CFLAGS) -I$(META_TESTS) -I$(TEST_LIB_DIR) -c -o $@ $<

$(FUZZ_TOOLS:%=$(FUZZ_OUT)/%.bin): $(FUZZ_OUT)/%.bin: $(FUZZ_DIR)/fuzz_meta.c $$(FUZZ_OBJ)
	@echo "LD        $*"
	@clang $(META_CFLAGS) -Wno-shadow -Wno-sign-compare $(FUZZ_CFLAGS) -fsanitize=fuzzer \
		-I$(META_TESTS) -DTOOL_MAIN=$(*:fuzz_%=%)_main \
		-DTOOL_ARGS='$(ARGS_$*)' $(if $(findstring restore,$*),-DFUZZ_TEXT) \
		-o $@ $^ -lm

$(FUZZ_OWN:%=$(FUZZ_OUT)/%.bin): $(FUZZ_OUT)/%.bin: $(FUZZ_OUT)/obj/tests/fuzz/%.o $$(FUZZ_WORDS) $$(FUZZ_OBJ)
	@echo "LD        $*"
	@clang $(FUZZ_CFLAGS) -fsanitize=fuzzer -pthread -o $@ $^ -lm

$(FUZZ_OUT)/corpus/stamp: $(FUZZ_DIR)/corpus.c $(LIBHPM_HDR)
	@mkdir -p $(@D)
	@gcc $(META_CFLAGS) -O1 -o $(FUZZ_OUT)/corpus/make $(FUZZ_DIR)/corpus.c
	@$(FUZZ_OUT)/corpus/make $(@D)
	@touch $@

.PHONY: fuzz
fuzz: $$(patsubst %,$(FUZZ_OUT)/%.bin,$$(FUZZ)) $(FUZZ_OUT)/corpus/stamp ## fuzz the format, recovery, tools, tables and messages (TIME=seconds, FUZZ=target)
	@$(FUZZ_DIR)/run.sh $(FUZZ_OUT) $(FUZZ_TIME) $(FUZZ)

# A short run.
TEST_SUITES += test-fuzz

.PHONY: test-fuzz
test-fuzz: FUZZ_TIME := 54
test-fuzz: fuzz

