# SPDX-License-Identifier: MIT
# What the Makefiles of all examples, and of other Wayland clients, have in common.
# Before it is included they set TARGETS, PACKAGES of pkg-config, NEEDS beyond libwayland (see
# tools/packages.mk) and PROTOCOLS of wayland-protocols, and after it they say how the
# targets are made of OBJECTS, which are of SOURCES, by default all. All is built in BUILD,
# by default in the project's build folder.

BUILD	?= ../../build/examples
SOURCES	?= $(wildcard *.c)
NAME	:= $(notdir $(CURDIR))
OBJ	:= $(BUILD)/$(NAME).obj

NEEDS	+= wayland-client:libwayland-dev wayland-scanner:libwayland-bin \
	   wayland-protocols:wayland-protocols
# These are the same for all architectures.
XML	:= $(PROTOCOLS:%=$(shell pkg-config --variable=pkgdatadir wayland-protocols)/%.xml)
OLD	+= $(if $(filter-out $(wildcard $(XML)),$(XML)),wayland-protocols)
include $(dir $(lastword $(MAKEFILE_LIST)))../tools/packages.mk

CFLAGS	?= -O3 -g
CFLAGS	+= -std=gnu11 -Wall -Wextra -Werror -Wno-unused-parameter
CFLAGS	+= -I. -I$(OBJ) -I../../include/uapi $(shell $(PKG_CONFIG) --cflags $(PACKAGES))
LDLIBS	= $(shell $(PKG_CONFIG) --libs $(PACKAGES))

NAMES	:= $(notdir $(PROTOCOLS))
OBJECTS	:= $(patsubst %.c,$(OBJ)/%.o,$(SOURCES)) \
	   $(NAMES:%=$(OBJ)/%-protocol.o)

vpath %.xml $(dir $(XML))

.PHONY: all clean
all: $(TARGETS:%=$(BUILD)/%)

$(OBJECTS): $(wildcard *.h) $(MAKEFILE_LIST) \
	$(NAMES:%=$(OBJ)/%-client-protocol.h) | $(OBJ)

$(OBJ)/%.o: %.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(OBJ)/%.o: $(OBJ)/%.c
	$(CC) $(CPPFLAGS) $(CFLAGS) -c -o $@ $<

$(OBJ)/%-client-protocol.h: %.xml | $(OBJ)
	wayland-scanner client-header $< $@

$(OBJ)/%-protocol.c: %.xml | $(OBJ)
	wayland-scanner private-code $< $@

$(OBJ):
	mkdir -p $@

clean:
	rm -rf $(OBJ) $(TARGETS:%=$(BUILD)/%)

.SECONDARY:
