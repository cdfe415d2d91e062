/* SPDX-License-Identifier: MIT */
/*
 * What the tests of udmabufs on a display share: pictures in memfds.
 */
#ifndef IGT_KMS_UDMABUF_H
#define IGT_KMS_UDMABUF_H

#include "kms_helper.h"
#include "udmabuf_helper.h"

/*
 * The subtests of each file, each run by kms_test(), which begins with nothing on
 * the screen, and fails it if it leaves a pinned page or an open descriptor behind
 */
void kms_test(void (*test)(int dev, int vkms), int dev, int vkms);
void kms_udmabuf_show_subtests(int dev, int vkms);
void kms_udmabuf_write_subtests(int dev, int vkms);

/* Until so many pages are pinned: the display lets go of buffers when it likes */
void await_pins(int64_t count);

/* Where the pages of a frame lie in a memfd: each @step pages behind the last one */
struct place {
	const char *name;
	enum backing backing;
	size_t first, step;
};

enum { SMALL, THP_MIDDLE, HUGETLB_MIDDLE, SCATTERED };
extern const struct place places[4];

/* A frame in a memfd, the rest of which has a pattern, and a dma-buf of it */
struct frame {
	const struct place *place;
	int memfd, dmabuf;
	char *mem;
};

struct frame make_frame(int dev, const struct place *place);
void close_frame(struct frame *frame);

/* Pictures, of which each number has another; and how many pixels differ from it */
void draw(uint32_t *pixels, uint32_t number);
int count_wrong(const uint32_t *pixels, uint32_t number);
void draw_frame(const struct frame *frame, uint32_t number);
int count_wrong_in_frame(const struct frame *frame, uint32_t number);

/* Nothing beside the frame was touched */
void check_beside(const struct frame *frame);

#endif
