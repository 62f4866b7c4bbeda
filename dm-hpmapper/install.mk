# SPDX-License-Identifier: GPL-2.0-only
#
# make install: installs the tools, and the module by DKMS, which builds the module
# again for each kernel that is installed later.  It is built at once for the running
# kernel, or for the one that KVER names (KVER=6.1.0-30-amd64).  With DESTDIR, the
# module's source is only copied, and the packager has to call DKMS.  INTERCEPT=n,
# FAULTS=y and PAUSES=y (module.mk) go to dkms.conf, and so to all builds that DKMS
# will make.
#
# make uninstall: removes both, and other versions of the module.

MODULE_VERSION  = $(shell sed -n 's/^MODULE_VERSION("\(.*\)");/\1/p' $(TOP)/dm-hpmapper/main.c)
DKMS_NAME       = dm-hpmapper/$(MODULE_VERSION)
DKMS_SRC        = $(DESTDIR)/usr/src/dm-hpmapper-$(MODULE_VERSION)

# The options that differ from the defaults in the module's Makefile.
DKMS_OPTIONS    = $(patsubst %,INTERCEPT=%,$(filter n,$(INTERCEPT))) \
	$(patsubst %,FAULTS=%,$(filter y,$(FAULTS))) $(patsubst %,PAUSES=%,$(filter y,$(PAUSES)))

PKGS_dkms := dkms gcc make

.PHONY: install uninstall
install: install-module install-tools ## install the module (DKMS) and the tools (KVER=, DESTDIR=)
uninstall: uninstall-module uninstall-tools ## remove what make install has installed

# What an older state of this version has left would be built with the rest.
.PHONY: install-source
install-source:
	rm -rf $(DKMS_SRC)
	install -d $(MODULE_DIRS:%=$(DKMS_SRC)/%)
	for d in $(MODULE_DIRS); do \
		install -m 644 $(TOP)/dm-hpmapper/$$d/*.[ch] $(DKMS_SRC)/$$d || exit; \
	done
	install -m 644 $(TOP)/dm-hpmapper/Kbuild $(TOP)/dm-hpmapper/Kconfig \
		$(TOP)/dm-hpmapper/Makefile $(DKMS_SRC)
	sed 's/@VERSION@/$(MODULE_VERSION)/; s/ @OPTIONS@/$(if $(strip $(DKMS_OPTIONS)), $(strip $(DKMS_OPTIONS)))/' $(TOP)/dm-hpmapper/dkms.conf.in \
		>$(DKMS_SRC)/dkms.conf

.PHONY: install-module
install-module: install-source
ifeq ($(DESTDIR),)
	$(MAKE) deps-dkms
	dkms remove $(DKMS_NAME) --all >/dev/null 2>&1 || true
	dkms add $(DKMS_NAME)
	dkms build $(DKMS_NAME) $(KVER:%=-k %)
	dkms install $(DKMS_NAME) $(KVER:%=-k %)
endif

# DKMS forgets a version before its source goes.
.PHONY: uninstall-module
uninstall-module: ## remove the module from DKMS and from the machine
ifeq ($(DESTDIR),)
	for v in $$(dkms status dm-hpmapper 2>/dev/null | sed 's|[^/]*/||; s|[,:].*||' | sort -u); do \
		dkms remove dm-hpmapper/$$v --all || exit; \
	done
endif
	rm -rf $(DESTDIR)/usr/src/dm-hpmapper-[0-9]*
