// SPDX-License-Identifier: MIT
/*
 * What became of the frames: whether the compositor composed them with whatever else
 * is on the screen, or had the display read them where the client drew them.
 */

#include "presentation-time-client-protocol.h"
#include "zerocopy.h"

static void feedback_sync_output(void *data, struct wp_presentation_feedback *feedback,
				 struct wl_output *output)
{
}

static void feedback_presented(void *data, struct wp_presentation_feedback *feedback,
			       uint32_t seconds_high, uint32_t seconds,
			       uint32_t nanoseconds, uint32_t refresh,
			       uint32_t sequence_high, uint32_t sequence,
			       uint32_t flags)
{
	struct feedback *count = data;

	count->presented++;
	if (flags & WP_PRESENTATION_FEEDBACK_KIND_ZERO_COPY)
		count->scanned_out++;
	count->pending--;
	wp_presentation_feedback_destroy(feedback);
}

static void feedback_discarded(void *data, struct wp_presentation_feedback *feedback)
{
	struct feedback *count = data;

	count->pending--;
	wp_presentation_feedback_destroy(feedback);
}

static const struct wp_presentation_feedback_listener feedback_listener = {
	.sync_output	= feedback_sync_output,
	.presented	= feedback_presented,
	.discarded	= feedback_discarded,
};

void feedback_ask(struct feedback *count, struct wl_surface *surface)
{
	if (!count->presentation)
		return;
	wp_presentation_feedback_add_listener(
		wp_presentation_feedback(count->presentation, surface),
		&feedback_listener, count);
	count->pending++;
}
