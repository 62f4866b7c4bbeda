# SPDX-License-Identifier: GPL-2.0-only
#
# make test-install: installs into a directory, lets Debian's DKMS build the module from
# there, and uninstalls.  It builds the module twice, so "make test" does not include it.

# The kernel's packages depend on it from 6.12 on; the headers in the cache do not.
PKGS_btf := pahole

.PHONY: test-install
test-install: $$(TOOLS) $(KERNELS_ALWAYS:%=$(CACHE)/kernels/%/release) | deps-build deps-dkms deps-btf ## install into a directory, build by DKMS for 6.1 and 6.12, uninstall
	@MAKE="$(MAKE)" BUILD=$(BUILD) CACHE=$(CACHE) $(TOP)/tests/install/run.sh $(KERNELS_ALWAYS)
