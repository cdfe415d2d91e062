/* SPDX-License-Identifier: MIT */
/*
 * vkms, the display that exists only in the kernel: what it shows is written to
 * another framebuffer or summed up.
 */
#ifndef KMS_HELPER_H
#define KMS_HELPER_H

#include <stdint.h>

/* Of every framebuffer: 4 bytes a pixel, and so exactly this many pages of 4 KiB */
#define FRAME_WIDTH	512
#define FRAME_HEIGHT	300
#define FRAME_PIXELS	(FRAME_WIDTH * FRAME_HEIGHT)
#define FRAME_PAGES	150

/* As the one who may set modes; skips all subtests where there is no vkms */
int open_vkms(void);

/* Framebuffers: of an object; or of a dma-buf, and nothing else holds it */
int __add_fb(int vkms, uint32_t handle, uint32_t *fb);
uint32_t import_fb(int vkms, int dmabuf);
void remove_fb(int vkms, uint32_t fb);

/*
 * Show a framebuffer, and have what is shown written to another, unless that is 0;
 * with __, 0 or a negative error
 */
int __show(int vkms, uint32_t fb, uint32_t written);
void show(int vkms, uint32_t fb, uint32_t written);
void show_nothing(int vkms);

/* Checksum of what is shown from now on */
uint32_t shown_crc(int vkms);

/* A framebuffer in memory of the display's own */
struct own_fb {
	uint32_t handle, fb;
	uint32_t *pixels;
};

struct own_fb make_own_fb(int vkms);
void close_own_fb(int vkms, struct own_fb *own);

#endif
