# SPDX-License-Identifier: GPL-2.0
"""Pictures that were taken, to be looked at by their pixels: in the Debian root, whose
libcairo reads them."""

import ctypes
import os
import sys


class Picture:
    """The pixels of a PNG: rows of bytes, four a pixel, blue first."""

    def __init__(self, path):
        cairo = ctypes.CDLL("libcairo.so.2")
        load = cairo.cairo_image_surface_create_from_png
        load.restype = ctypes.c_void_p
        data = cairo.cairo_image_surface_get_data
        data.restype = ctypes.c_void_p
        surface = ctypes.c_void_p(load(os.fsencode(path)))
        if cairo.cairo_surface_status(surface):
            sys.exit(f"{path} is not a PNG that can be read")
        self.width = cairo.cairo_image_surface_get_width(surface)
        self.height = cairo.cairo_image_surface_get_height(surface)
        stride = cairo.cairo_image_surface_get_stride(surface)
        pixels = ctypes.string_at(data(surface), stride * self.height)
        self.rows = [pixels[y * stride:y * stride + 4 * self.width]
                     for y in range(self.height)]
        cairo.cairo_surface_destroy(surface)

    def colours(self):
        return set(pixel for row in self.rows
                   for pixel in memoryview(row).cast("I"))

    def split(self, area):
        """The pixels of an area, and all others."""
        left, right = 4 * area["x"], 4 * (area["x"] + area["width"])
        top, bottom = area["y"], area["y"] + area["height"]
        return (b"".join(row[left:right] for row in self.rows[top:bottom]),
                b"".join(row[:left] + row[right:] if top <= y < bottom else row
                         for y, row in enumerate(self.rows)))
