# SPDX-License-Identifier: GPL-2.0
# What the driver is made of, in a kernel's tree as well as outside.
udmabuf-y := udmabuf_attach.o udmabuf_create.o udmabuf_debug.o udmabuf_export.o \
	     udmabuf_main.o udmabuf_mmap.o udmabuf_sync.o udmabuf_writers.o
