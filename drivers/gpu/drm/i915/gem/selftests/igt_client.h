/* SPDX-License-Identifier: MIT */
/*
 * A program that has opened the mock device.
 */
#ifndef __IGT_CLIENT_H__
#define __IGT_CLIENT_H__

#include "selftests/mock_drm.h"

/* The mock device has none, since nobody opens it. */
static const struct file_operations igt_drm_fops = {
	.owner = THIS_MODULE,
	.release = drm_release_noglobal,
};

struct igt_client {
	struct drm_device *drm;
	const struct drm_driver *mock;
	struct drm_driver driver;
	struct file *filp;
	struct drm_file *file;
};

static inline int igt_client_open(struct igt_client *client,
				  struct drm_i915_private *i915)
{
	client->drm = &i915->drm;
	client->mock = i915->drm.driver;
	client->driver = *client->mock;
	client->driver.fops = &igt_drm_fops;
	i915->drm.driver = &client->driver;
	client->filp = mock_file(i915);
	if (!ok(!IS_ERR(client->filp))) {
		i915->drm.driver = client->mock;
		return PTR_ERR(client->filp);
	}
	client->file = client->filp->private_data;
	return 0;
}

/* Its handles are closed, too. */
static inline void igt_client_close(struct igt_client *client)
{
	__fput_sync(client->filp);
	client->drm->driver = client->mock;
}

#endif /* __IGT_CLIENT_H__ */
