/* SPDX-License-Identifier: MIT */
/* As much of a compositor's renderer as it takes to see a dma-buf. */

#ifndef GL_H
#define GL_H

#include "shm-import.h"

/* All end the program with a sentence where they fail. */

void gl_open(void);
/* Imports a dma-buf of that buffer, and makes it what gl_read() reads. */
void gl_import(int dmabuf, const struct shm_buffer *buffer, uint32_t plane_offset);
/* Red, green, blue and alpha of each pixel, without gaps, as the GPU sees them now. */
void gl_read(const struct shm_buffer *buffer, uint8_t *pixels);

#endif
