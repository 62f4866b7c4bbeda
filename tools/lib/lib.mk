# SPDX-License-Identifier: GPL-2.0-only
#
# The metadata engine as a user-space library, for the tools:
#
#	target: $(LIBHPM)
#		$(CC) $(LIBHPM_CFLAGS) ... $(LIBHPM)
#
# The engine consists of the files in dm-hpmapper/ that include md.h.  They and the
# files here are compiled unchanged, with the warnings of kbuild's W=1.  The unit
# tests compile them again, with sanitizers (tests/unit/unit.mk).

LIBHPM_DIR    := $(TOP)/tools/lib
# hpmctl is built with these files, too.
COMMON_DIR    := $(TOP)/tools/common
LIBHPM        := $(BUILD)/tools/libhpm.a
ENGINE_SRC     = $(shell grep -l '^.include "md\.h"' $(TOP)/dm-hpmapper/*.c)
LIBHPM_SRC     = $(ENGINE_SRC) $(wildcard $(LIBHPM_DIR)/*.c $(COMMON_DIR)/*.c)
LIBHPM_HDR     = $(wildcard $(TOP)/dm-hpmapper/*.h $(LIBHPM_DIR)/include/*.h $(COMMON_DIR)/*.h)
LIBHPM_CFLAGS := -std=gnu11 -D_GNU_SOURCE -D_FILE_OFFSET_BITS=64 \
	-I$(LIBHPM_DIR)/include -I$(COMMON_DIR) -I$(TOP)/dm-hpmapper \
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
