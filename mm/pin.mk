# SPDX-License-Identifier: GPL-2.0
# What the modules are made of, in a kernel's tree as well as outside.
memfd_pin-y := pin_range.o pin_batch.o pin_populate.o pin_touch.o pin_fast.o \
	       pin_account.o pin_list.o pin_sgt.o pin_trace.o pin_tree.o
memfd_pin-$(CONFIG_HUGETLBFS) += pin_mount.o
pin_test-y := pin_test_attach.o pin_test_dev.o pin_test_notifier.o pin_test_pins.o
pin_test-$(CONFIG_PCI) += pin_test_edu.o
pin_test-$(CONFIG_ARM64_CONTPTE) += pin_test_entry.o
