# SPDX-License-Identifier: MIT
# Says which packages are missing or too old, before anything is built. Before it is included,
# NEEDS has MODULE:PACKAGE or MODULE:PACKAGE:VERSION, of pkg-config's and of Debian's names,
# and MISSING and OLD may have packages.

PKG_CONFIG ?= pkg-config

# What is the same for all architectures, none but this one's pkg-config knows.
has = $(shell { $(PKG_CONFIG) --exists "$1" || pkg-config --exists "$1"; } 2>/dev/null && echo y)
# $1: need, $2: which part of it
part = $(word $2,$(subst :, ,$1))
too_old = $(if $(call part,$1,3),$(if $(call has,$(call part,$1,1) >= $(call part,$1,3)),,y))

MISSING += $(shell command -v pkg-config >/dev/null || echo pkgconf)
MISSING += $(foreach need,$(NEEDS),$(if $(call has,$(call part,$(need),1)),,$(call part,$(need),2)))
OLD += $(foreach need,$(NEEDS),$(if $(call too_old,$(need)),$(call part,$(need),2)))

ifneq ($(filter-out clean sources,$(or $(MAKECMDGOALS),all)),)
ifneq ($(strip $(MISSING)),)
$(error packages are missing; as root, run: apt install $(sort $(MISSING)))
endif
ifneq ($(strip $(OLD)),)
$(error packages are too old, Debian 13 has newer ones: $(sort $(OLD)))
endif
endif
