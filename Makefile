# SPDX-License-Identifier: GPL-2.0
# pinfold: kernel modules for the running kernel (KDIR= for another), and the
# commands that set up, test, show and install them. "make help" lists them.

KDIR	?= /lib/modules/$(shell uname -r)/build
BUILD	:= $(CURDIR)/build

# The kernel builds external modules beside their sources. So that everything
# generated stays under build/, one tree of links per kernel stands there.
KREL	= $(shell sed -n 's/.* UTS_RELEASE "\(.*\)"/\1/p' \
		$(KDIR)/include/generated/utsrelease.h 2>/dev/null)
MODDIR	= $(BUILD)/modules/$(KREL)

.PHONY: all
all: modules

.PHONY: modules
modules:	## build the kernel modules (KDIR=: kernel build folder, C=1: sparse)
	@test -n "$(KREL)" || { echo "No kernel build folder at $(KDIR):" \
		"install the kernel's headers or give KDIR=" >&2; exit 1; }
	@mkdir -p "$(MODDIR)"
	@cp -rsf "$(CURDIR)/Kbuild" "$(CURDIR)/VERSION" "$(CURDIR)/include" "$(CURDIR)/mm" \
		"$(CURDIR)/drivers" "$(MODDIR)/"
	@find "$(MODDIR)" -xtype l -delete
	$(MAKE) -C $(KDIR) M="$(MODDIR)" modules

# What uses the Debian root sets itself up: what it needs is installed or made when missing.
.PHONY: demo
demo:		## show, in a VM, a Wayland client that is composited without a copy (KERNEL=)
	tools/demo/run $(KERNEL)

.PHONY: demo-guest
demo-guest:	## show a virtual machine's console in Weston, without a copy, in a VM
	tools/demo/guest-viewer

.PHONY: check
check:		## all tests for Debian kernels, on 6.12 in a VM (TESTS=: only matching IGT tests)
	$(if $(TESTS),tools/vm/run -- igt-tests/run --include '$(TESTS)',tools/check 6.12)

.PHONY: check-all
check-all:	## on 6.1, 6.12, 7.x, in the tree, arm64, a kernel that checks itself, QEMU
	tools/check 6.12 6.1 7.x arm64 debug intree

.PHONY: check-arm64
check-arm64:	## those tests on arm64, with pages of 4 and of 16 KiB
	tools/check arm64 arm64-16k

.PHONY: check-desktop
check-desktop:	## KWin, Weston, GTK, Qt and others of Debian testing, also with stock udmabuf
	tools/desktop/run $(KERNEL)

.PHONY: check-debug
check-debug:	## IGT tests on a 6.12 with KASAN, lockdep and others, and i915's selftests
	tools/check debug

.PHONY: lint
lint:		## build what stands in a kernel's tree in all its forms, with all warnings
	tools/lint

.PHONY: series-check
series-check:	## apply, build, test and measure the patches for Linux that are in series/
	tools/series check

.PHONY: check-kcsan
check-kcsan:	## tests with threads, on a kernel that looks for data races in our code
	tools/check kcsan

.PHONY: fuzz
fuzz:		## random programs, guided by KCOV, on the debug kernel (SECONDS=: 300, SEED=: 1)
	tools/fuzz/run $(addprefix --seed ,$(SEED)) $(SECONDS)

.PHONY: soak
soak:		## random programs of many users, with reclaim: what stays? (MINUTES=, KERNEL=)
	tools/fuzz/soak $(or $(MINUTES),60) $(KERNEL)

.PHONY: coverage
coverage:	## lines and branches that the tests reach on the debug kernel: build/coverage/
	tools/coverage

KERNELS	?= 6.12 7.x
.PHONY: bench
bench:		## what udmabuf costs beside the kernel's own (KERNELS=: 6.12, 7.x, arm64)
	tools/bench/run $(KERNELS)

.PHONY: bench-i915
bench-i915:	## what i915's userptr objects cost beside mainline's, on 6.12
	tools/bench/i915

.PHONY: doc
doc:		## make build/doc/html/ of the pages, the man pages and the kernel-doc comments
	tools/doc

.PHONY: i915
i915:		## build i915.ko with our userptr objects for Debian 13 (KERNEL=: 7.x)
	tools/vm/chroot -- tools/i915 $(KERNEL)

# DKMS builds for every kernel with headers, and again after each kernel update.
VERSION	= $(shell cat VERSION)
SOURCES	= Makefile Kbuild VERSION COPYING include mm drivers
export DESTDIR DKMSARCH DKMSFLAGS LIBMODULES

.PHONY: install
install:	## install the modules on this machine (DKMS), with the switch and udev rule
	@tools/install install

.PHONY: uninstall
uninstall:	## undo "make install"
	@tools/install uninstall

# What DKMS builds from, as our packages have it, too.
.PHONY: install-source
install-source:
	install -d "$(DESTDIR)/usr/src/pinfold-$(VERSION)"
	cp -r $(SOURCES) "$(DESTDIR)/usr/src/pinfold-$(VERSION)"
	rm "$(DESTDIR)/usr/src/pinfold-$(VERSION)/mm"/pin_test*
	sed 's/#MODULE_VERSION#/$(VERSION)/' dkms.conf \
		>"$(DESTDIR)/usr/src/pinfold-$(VERSION)/dkms.conf"

.PHONY: deb
deb:		## build packages for Debian, for amd64 and arm64, in build/deb/
	tools/deb/run

.PHONY: check-install
check-install:	## install the packages on a whole Debian 13, reboot, upgrade, remove, in a VM
	tools/deb/check

.PHONY: clean
clean:		## remove everything that was built
	rm -rf build

.PHONY: help
help:		## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 16
