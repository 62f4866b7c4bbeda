# SPDX-License-Identifier: GPL-2.0-only
#
# make kunit: the tests that need a kernel, in a user-mode one.  The first run
# builds it, some five minutes on two cores; "make test" does not wait for it.

PKGS_kunit := gcc make flex bison bc python3 rsync libelf-dev xz-utils

.PHONY: kunit
kunit: $(CACHE)/kernels/source/linux-source-6.1.tar.xz | deps-kunit ## KUnit suite on Debian's linux-source (user-mode kernel)
	@$(TOP)/tests/kunit/run.sh $< $(CACHE)/kunit
