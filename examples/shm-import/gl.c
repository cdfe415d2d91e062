// SPDX-License-Identifier: MIT
/* A compositor has this already: OpenGL ES, without a window, that imports dma-bufs. */

#include <EGL/egl.h>
#include <EGL/eglext.h>
#include <GLES2/gl2.h>
#include <GLES2/gl2ext.h>
#include <drm_fourcc.h>
#include <err.h>
#include <string.h>

#include "gl.h"

static EGLDisplay display;

/* By eglGetProcAddress(), which can find no function */
static PFNEGLCREATEIMAGEKHRPROC create_image;
static PFNEGLDESTROYIMAGEKHRPROC destroy_image;
static PFNGLEGLIMAGETARGETTEXTURE2DOESPROC image_to_texture;

static void fail(const char *what)
{
	errx(1, "%s: EGL error %#x", what, eglGetError());
}

void gl_open(void)
{
	static const EGLint version[] = { EGL_CONTEXT_CLIENT_VERSION, 2, EGL_NONE };
	PFNEGLGETPLATFORMDISPLAYEXTPROC get_display;
	const char *extensions;
	EGLContext context;

	get_display = (void *)eglGetProcAddress("eglGetPlatformDisplayEXT");
	create_image = (void *)eglGetProcAddress("eglCreateImageKHR");
	destroy_image = (void *)eglGetProcAddress("eglDestroyImageKHR");
	image_to_texture = (void *)eglGetProcAddress("glEGLImageTargetTexture2DOES");
	if (!get_display || !create_image || !destroy_image || !image_to_texture)
		errx(1, "EGL lacks a function");

	display = get_display(EGL_PLATFORM_SURFACELESS_MESA, EGL_DEFAULT_DISPLAY, NULL);
	if (!display || !eglInitialize(display, NULL, NULL))
		fail("no display without a window");
	extensions = eglQueryString(display, EGL_EXTENSIONS);
	if (!strstr(extensions, "EGL_EXT_image_dma_buf_import"))
		errx(1, "EGL does not import dma-bufs");
	eglBindAPI(EGL_OPENGL_ES_API);
	context = eglCreateContext(display, EGL_NO_CONFIG_KHR, EGL_NO_CONTEXT, version);
	if (!context || !eglMakeCurrent(display, EGL_NO_SURFACE, EGL_NO_SURFACE, context))
		fail("no context");
}

void gl_import(int dmabuf, const struct shm_buffer *buffer, uint32_t plane_offset)
{
	const EGLint attributes[] = {
		EGL_WIDTH, buffer->width,
		EGL_HEIGHT, buffer->height,
		EGL_LINUX_DRM_FOURCC_EXT, buffer->format,
		EGL_DMA_BUF_PLANE0_FD_EXT, dmabuf,
		EGL_DMA_BUF_PLANE0_OFFSET_EXT, plane_offset,
		EGL_DMA_BUF_PLANE0_PITCH_EXT, buffer->stride,
		EGL_NONE
	};
	EGLImageKHR image = create_image(display, EGL_NO_CONTEXT, EGL_LINUX_DMA_BUF_EXT,
					 NULL, attributes);
	GLuint texture, framebuffer;

	if (!image)
		fail("the dma-buf cannot be imported");
	glGenTextures(1, &texture);
	glBindTexture(GL_TEXTURE_2D, texture);
	image_to_texture(GL_TEXTURE_2D, image);
	destroy_image(display, image);
	glGenFramebuffers(1, &framebuffer);
	glBindFramebuffer(GL_FRAMEBUFFER, framebuffer);
	glFramebufferTexture2D(GL_FRAMEBUFFER, GL_COLOR_ATTACHMENT0, GL_TEXTURE_2D, texture,
			       0);
	if (glCheckFramebufferStatus(GL_FRAMEBUFFER) != GL_FRAMEBUFFER_COMPLETE)
		errx(1, "the texture cannot be read");
}

void gl_read(const struct shm_buffer *buffer, uint8_t *pixels)
{
	glReadPixels(0, 0, buffer->width, buffer->height, GL_RGBA, GL_UNSIGNED_BYTE, pixels);
	if (glGetError() != GL_NO_ERROR)
		errx(1, "the texture cannot be read");
}
