# SPDX-License-Identifier: GPL-2.0-only
#
# make kunit: runs the tests that need a kernel in a user-mode kernel.  The first run
# builds that kernel, which takes about five minutes on two cores, so "make test" does
# not include it.

PKGS_kunit := gcc make flex bison bc python3 rsync libelf-dev xz-utils

.PHONY: kunit
kunit: $(CACHE)/kernels/source/linux-source-6.1.tar.xz | deps-kunit ## run the KUnit suite in a user-mode kernel built from Debian's linux-source
	@$(TOP)/tests/kunit/run.sh $< $(CACHE)/kunit
