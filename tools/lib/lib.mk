# SPDX-License-Identifier: GPL-2.0-only
#
# The metadata engine as a user-space library, for the tools:
#
#	target: $(LIBHPM)
#		$(CC) $(LIBHPM_CFLAGS) ... $(LIBHPM)
#
# The engine consists of the files that dm-hpmapper/Kbuild names in engine/.  They and
# the files here are compiled unchanged, with the warnings of kbuild's W=1.  The unit
# tests compile them again, with sanitizers (tests/unit/unit.mk).
#
# Only the files that a fragment adds to ENGINE_USERS, such as the tests of the
# engine's parts, have the headers of engine/ on their include path.

LIBHPM_DIR    := $(TOP)/tools/lib
# hpmctl is built with these files, too.
COMMON_DIR    := $(TOP)/tools/common
LIBHPM        := $(BUILD)/tools/libhpm.a
ENGINE_DIR    := $(TOP)/dm-hpmapper/engine
ENGINE_SRC    := $(patsubst %.o,$(TOP)/dm-hpmapper/%.c,$(filter engine/%.o,$(file <$(TOP)/dm-hpmapper/Kbuild)))
ENGINE_USERS  := tools/lib/audit.c
LIBHPM_SRC     = $(ENGINE_SRC) $(wildcard $(LIBHPM_DIR)/*.c $(COMMON_DIR)/*.c)
LIBHPM_HDR     = $(wildcard $(TOP)/dm-hpmapper/*.h $(ENGINE_DIR)/*.h $(LIBHPM_DIR)/include/*.h $(COMMON_DIR)/*.h)
LIBHPM_CFLAGS  = -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
	-I$(LIBHPM_DIR)/include -I$(COMMON_DIR) -I$(TOP)/dm-hpmapper \
	$(if $(filter $(ENGINE_USERS:%=$(TOP)/%),$<),-I$(ENGINE_DIR)) \
	-Wall -Wextra -Werror -Wno-address-of-packed-member \
	-Wno-unused-parameter
LIBHPM_OBJ     = $(patsubst $(TOP)/%.c,$(BUILD)/tools/libhpm/%.o,$(LIBHPM_SRC))

$(BUILD)/tools/libhpm/%.o: $(TOP)/%.c $(LIBHPM_HDR)
	@mkdir -p $(@D)
	@echo "CC        $*.o"
	@$(CC) $(LIBHPM_CFLAGS) -O2 -g -c -o $@ $<

$(LIBHPM): $(LIBHPM_OBJ)
	@echo "AR        $(@F)"
	@rm -f $@ && $(AR) rcs $@ $^

.PHONY: libhpm
libhpm: $(LIBHPM)
