# SPDX-License-Identifier: GPL-2.0-only
#
# Unit and model tests of the metadata engine, in user space, with the address
# and undefined-behaviour sanitizers.
#
#	make test-unit				all programs
#	make test-unit UNIT=test_map		one program
#	make test-unit SEED=7			with another random seed
#	make test-unit SCALE=20			twenty times as long
#	make test-unit SANITIZE=thread CC=clang
#
#	make test-planted		plant faults; the tests must catch them
#
# Each test_*.c here is a program.  It is linked with the engine, the library of
# tools/lib, the one of tests/lib, and the other files of this directory.

UNIT_DIR    := $(TOP)/tests/unit
comma       := ,
SANITIZE    ?= address,undefined
UNIT_OUT     = $(BUILD)/tests/unit-$(subst $(comma),-,$(SANITIZE))
# The same engine with the code for planted faults (dm-hpmapper/fault.h).
UNIT_FAULTY  = $(BUILD)/tests/unit-faults
UNIT_CFLAGS  = $(LIBHPM_CFLAGS) -I$(TEST_LIB_DIR) -O1 -g -fno-omit-frame-pointer \
	-fsanitize=$(SANITIZE) -fno-sanitize-recover=all
UNIT_TESTS   = $(patsubst $(UNIT_DIR)/%.c,%,$(wildcard $(UNIT_DIR)/test_*.c))
UNIT_COMMON  = $(filter-out $(UNIT_DIR)/test_%,$(wildcard $(UNIT_DIR)/*.c)) $(TEST_LIB_SRC)
UNIT_HDR     = $(LIBHPM_HDR) $(TEST_LIB_HDR) $(wildcard $(UNIT_DIR)/*.h)
ENGINE_USERS += $(addprefix tests/unit/,rig.c test_array.c test_cost.c test_damage.c \
	test_credit.c test_format.c test_map.c test_space.c)
UNIT_OBJ     = $(patsubst $(TOP)/%.c,$(UNIT_OUT)/%.o,$(LIBHPM_SRC) $(UNIT_COMMON))

TEST_SUITES += test-unit
PKGS_unit := gcc make libc6-dev libcmocka-dev

.SECONDEXPANSION:

$(UNIT_OUT)/%.o: $(TOP)/%.c $$(UNIT_HDR) | $$(DEPS)/unit
	@mkdir -p $(@D)
	@echo "CC        $*.o"
	@$(CC) $(UNIT_CFLAGS) -c -o $@ $<

$(UNIT_OUT)/test_%: $(UNIT_OUT)/tests/unit/test_%.o $$(UNIT_OBJ)
	@echo "LINK      $(@F)"
	@$(CC) $(UNIT_CFLAGS) -o $@ $^ -lcmocka

UNIT_FAULTY_OBJ = $(patsubst $(UNIT_OUT)/%,$(UNIT_FAULTY)/%,$(UNIT_OBJ))
# The programs whose tests must catch the planted faults (planted.sh).
UNIT_PLANTED = test_crash test_model test_open

$(UNIT_FAULTY)/%.o: $(TOP)/%.c $$(UNIT_HDR) | $$(DEPS)/unit
	@mkdir -p $(@D)
	@echo "CC        $*.o (faults)"
	@$(CC) $(LIBHPM_CFLAGS) -I$(TEST_LIB_DIR) -O2 -g -DCONFIG_DM_HPMAPPER_FAULTS -c -o $@ $<

$(UNIT_FAULTY)/test_%: $(UNIT_FAULTY)/tests/unit/test_%.o $$(UNIT_FAULTY_OBJ)
	@echo "LINK      $(@F) (faults)"
	@$(CC) -o $@ $^ -lcmocka

.PRECIOUS: $(UNIT_OUT)/%.o $(UNIT_FAULTY)/%.o

.PHONY: test-unit
test-unit: $$(addprefix $$(UNIT_OUT)/,$$(UNIT_TESTS)) ## run the unit and model tests in user space (UNIT=, SEED=, SCALE=)
	@$(UNIT_DIR)/run.sh $(or $(UNIT:%=$(UNIT_OUT)/%),$^)

TEST_SUITES += test-planted

.PHONY: test-planted
test-planted: $$(addprefix $$(UNIT_FAULTY)/,$$(UNIT_PLANTED)) ## plant faults: the crash tests in user space must catch them
	@$(UNIT_DIR)/planted.sh $(UNIT_FAULTY)
