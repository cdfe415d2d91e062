# SPDX-License-Identifier: GPL-2.0
# pinfold: kernel modules for the running kernel (KDIR= for another), and the
# commands that set up, test, show and install them. "make help" lists them.

KDIR	?= /lib/modules/$(shell uname -r)/build
BUILD	:= $(CURDIR)/build

# The kernel builds external modules beside their sources. So that everything
# generated stays under build/, one tree of links per kernel stands there.
KREL	= $(shell cat $(KDIR)/include/config/kernel.release 2>/dev/null)
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

.PHONY: clean
clean:		## remove everything that was built
	rm -rf $(BUILD)

.PHONY: help
help:		## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 16
