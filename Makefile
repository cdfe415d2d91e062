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
	@mkdir -p $(MODDIR)
	@cp -rsf $(CURDIR)/Kbuild $(CURDIR)/include $(CURDIR)/mm $(CURDIR)/drivers $(MODDIR)/
	@find $(MODDIR) -xtype l -delete
	$(MAKE) -C $(KDIR) M=$(MODDIR) modules

# What uses the Debian root sets itself up: what it needs is installed or made when missing.
.PHONY: demo
demo:		## show, in a VM, a Wayland client that is composited without a copy (KERNEL=)
	tools/demo/run $(KERNEL)

.PHONY: demo-guest
demo-guest:	## show a virtual machine's screen in Weston, without a copy, in a VM
	tools/demo/guest-viewer

.PHONY: check
check:		## run every test, on 6.12 in a VM (TESTS=: only IGT's that match a regex)
	$(if $(TESTS),tools/vm/run -- igt-tests/run --include '$(TESTS)',tools/check 6.12)

.PHONY: check-all
check-all:	## the same on 6.1, 6.12, 7.x, arm64 and a kernel that distrusts all, and QEMU
	tools/check 6.12 6.1 7.x debug arm64

.PHONY: check-arm64
check-arm64:	## the same on arm64, with pages of 4 and of 16 KiB
	tools/check arm64 arm64-16k

.PHONY: check-desktop
check-desktop:	## KWin, Weston, GTK, Qt and others of Debian's testing suite, beside stock
	tools/desktop/run $(KERNEL)

.PHONY: check-debug
check-debug:	## IGT tests on that kernel alone, and the selftests of i915
	tools/check debug

KERNELS	?= 6.12 7.x
.PHONY: bench
bench:		## what udmabuf costs beside the kernel's own (KERNELS=: 6.12, 7.x, arm64)
	tools/bench/run $(KERNELS)

.PHONY: doc
doc:		## make build/doc/html/ of the pages, the man pages and the kernel-doc comments
	tools/vm/chroot -- tools/doc

.PHONY: i915
i915:		## build i915.ko with our userptr objects for Debian 13 (KERNEL=: 7.x)
	tools/vm/chroot -- tools/i915 $(KERNEL)

# DKMS builds for the running kernel, and again after each kernel update.
# DKMSFLAGS: other folders than the system's, for a trial.
VERSION	= $(shell sed -n 's/^PACKAGE_VERSION="\(.*\)"/\1/p' dkms.conf)
SOURCES	= Makefile Kbuild dkms.conf COPYING include mm drivers
DKMS	= dkms $(DKMSFLAGS)

.PHONY: install
install:	## install the modules on this machine (DKMS), with the switch and udev rule
	@command -v dkms >/dev/null || { echo "dkms is missing:" \
		"apt install dkms linux-headers-amd64" >&2; exit 1; }
	rm -rf $(DESTDIR)/usr/src/pinfold-$(VERSION)
	install -d $(DESTDIR)/usr/src/pinfold-$(VERSION)
	cp -r $(SOURCES) $(DESTDIR)/usr/src/pinfold-$(VERSION)
	$(DKMS) build --force pinfold/$(VERSION)
	$(DKMS) install --force pinfold/$(VERSION)
	install -D tools/udmabuf-switch $(DESTDIR)/usr/local/sbin/udmabuf-switch
	install -D tools/udmabuf-top $(DESTDIR)/usr/local/sbin/udmabuf-top
	install -D -m 644 tools/70-pinfold.rules \
		$(DESTDIR)/etc/udev/rules.d/70-pinfold.rules
	for header in mempinfd udmabuf_ext; do \
		install -D -m 644 include/uapi/linux/$$header.h \
			$(DESTDIR)/usr/local/include/linux/$$header.h || exit; \
	done
	install -D -m 644 Documentation/mempinfd.4 \
		$(DESTDIR)/usr/local/share/man/man4/mempinfd.4
	install -d $(DESTDIR)/etc/modules-load.d
	echo udmabuf_pinfold >$(DESTDIR)/etc/modules-load.d/pinfold.conf
	-udevadm control --reload
	@echo "installed; modprobe udmabuf_pinfold loads it now"

.PHONY: uninstall
uninstall:	## undo "make install"
	@for module in mempinfd udmabuf_pinfold; do \
		[ "$$(cat /sys/module/$$module/refcnt 2>/dev/null || echo 0)" = 0 ] || { \
			echo "$$module is in use, so nothing is removed;" \
				"these processes have its device or dma-bufs:" >&2; \
			command -v fuser >/dev/null && \
				fuser -v /dev/mempinfd /dev/udmabuf*; \
			tools/udmabuf-top; exit 1; }; \
	done
	-modprobe -r mempinfd udmabuf_pinfold
	-$(DKMS) remove pinfold/$(VERSION) --all
	rm -rf $(DESTDIR)/usr/src/pinfold-$(VERSION)
	rm -f $(DESTDIR)/usr/local/sbin/udmabuf-switch \
		$(DESTDIR)/usr/local/sbin/udmabuf-top \
		$(DESTDIR)/etc/udev/rules.d/70-pinfold.rules \
		$(DESTDIR)/usr/local/include/linux/mempinfd.h \
		$(DESTDIR)/usr/local/include/linux/udmabuf_ext.h \
		$(DESTDIR)/usr/local/share/man/man4/mempinfd.4 \
		$(DESTDIR)/etc/modules-load.d/pinfold.conf
	-udevadm control --reload

.PHONY: clean
clean:		## remove everything that was built
	rm -rf $(BUILD)

.PHONY: help
help:		## list the targets
	@sed -n 's/^\([a-z0-9-]*\):.*## /\1\t/p' Makefile | expand -t 16
