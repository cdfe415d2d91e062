// SPDX-License-Identifier: MIT
/*
 * Tests of udmabufs as framebuffers: the list of all subtests and the program. The
 * subtests themselves are in kms_udmabuf_*.c.
 */

/**
 * TEST: kms_udmabuf
 * Category: Display
 * Mega feature: General Display Features
 * Sub-category: DRM
 * Functionality: dma-buf
 * Test category: functionality test
 * Description: Has vkms show dma-bufs of memfds, and write to them what it shows
 *
 * SUBTEST: show-crc
 * Description: The checksum is that of the same picture in the display's own memory,
 *              and follows what is written to the memfd without a new import or commit
 *
 * SUBTEST: show-%s
 * Description: What is shown is what was written to the memfd, pixel by pixel, with
 *              %arg[1]
 *
 * SUBTEST: show-flip
 * Description: Two dma-bufs of one memfd, shown in turn
 *
 * SUBTEST: show-too-small
 * Description: A dma-buf that is smaller than the picture is refused
 *
 * SUBTEST: show-outlives
 * Description: The picture stays when memfd, dma-buf and handle are closed; its pages
 *              stay pinned as long as the framebuffer is there, and not longer
 *
 * SUBTEST: show-killed
 * Description: Nothing stays pinned when a process dies whose frame is on the screen
 *
 * SUBTEST: write-%s
 * Description: What the display writes is in the memfd, and in no page beside it, with
 *              %arg[1]
 *
 * SUBTEST: write-copy
 * Description: Shown from one udmabuf and written to another
 *
 * SUBTEST: write-survives-reclaim
 * Description: What was written to holes of the memfd survives the end of the dma-buf
 *              and drop_caches
 *
 * SUBTEST: write-readonly
 * Description: A read-only dma-buf is neither shown nor written to
 *
 * arg[1]:
 *
 * @shmem:		small pages
 * @thp-middle:		an offset in the middle of a transparent huge page
 * @hugetlb-middle:	an offset in the middle of a 2 MiB hugetlb page
 * @scattered:		every second one of the memfd's small pages
 */
#include <unistd.h>

#include "igt.h"
#include "kms_udmabuf.h"

IGT_TEST_DESCRIPTION("dma-bufs of memfds as framebuffers of a display");

int igt_main()
{
	static int dev = -1, vkms = -1;

	igt_fixture() {
		dev = open_udmabuf();
		vkms = open_vkms();
	}
	kms_udmabuf_show_subtests(dev, vkms);
	kms_udmabuf_write_subtests(dev, vkms);

	igt_fixture() {
		show_nothing(vkms);
		close(vkms);
		close(dev);
	}
}
