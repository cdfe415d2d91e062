# SPDX-License-Identifier: MIT
# Says which packages are missing, before anything is built. Before it is included, NEEDS has
# pairs MODULE:PACKAGE, of pkg-config's and of Debian's names, and MISSING may have packages.

PKG_CONFIG ?= pkg-config

# What is the same for all architectures, none but this one's pkg-config knows.
MISSING += $(shell command -v pkg-config >/dev/null || echo pkgconf; \
	for need in $(NEEDS); do \
		$(PKG_CONFIG) --exists "$${need%%:*}" 2>/dev/null || \
		pkg-config --exists "$${need%%:*}" 2>/dev/null || \
		echo "$$need" | cut -d : -f 2; \
	done)

ifneq ($(filter-out clean sources,$(or $(MAKECMDGOALS),all)),)
ifneq ($(strip $(MISSING)),)
$(error packages are missing; as root, run: apt install $(sort $(MISSING)))
endif
endif
