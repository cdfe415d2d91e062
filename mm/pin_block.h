/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What a folio's page block is for. Where there is CMA, the kernel keeps long-term
 * pins out of its blocks, and out of isolated ones. folio_is_longterm_pinnable()
 * says so, but needs get_pfnblock_migratetype(), or get_pfnblock_flags_mask() before
 * 6.17, and neither is exported. The map of the blocks that these read is within reach
 * of modules: this reads it too.
 */
#ifndef _PIN_BLOCK_H
#define _PIN_BLOCK_H

#include <linux/mm.h>
#include <linux/mmzone.h>

/*
 * The bits of a folio's block, of its first one if it has several. That is the one
 * that the kernel asks, and they are alike but while they are being isolated: a folio
 * that is larger than a block is a huge page that comes from a CMA area as a whole,
 * or, as other allocations of contiguous memory, from where there is none.
 */
static inline unsigned long folio_block_bits(struct folio *folio)
{
	unsigned long pfn = folio_pfn(folio), bit;
	const unsigned long *map;

#ifdef CONFIG_SPARSEMEM
	map = section_to_usemap(__pfn_to_section(pfn));
	pfn %= PAGES_PER_SECTION;
#else
	map = folio_zone(folio)->pageblock_flags;
	pfn -= pageblock_start_pfn(folio_zone(folio)->zone_start_pfn);
#endif
	bit = (pfn >> pageblock_order) * NR_PAGEBLOCK_BITS;
	return READ_ONCE(map[bit / BITS_PER_LONG]) >> bit % BITS_PER_LONG;
}

static inline bool block_is_cma(unsigned long bits)
{
#ifdef CONFIG_CMA
	return (bits & PAGEBLOCK_MIGRATETYPE_MASK) == MIGRATE_CMA;
#else
	return false;
#endif
}

/* Its memory is to be offlined, or allocated as a whole. */
static inline bool block_is_isolated(unsigned long bits)
{
#ifdef CONFIG_MEMORY_ISOLATION
	return bits & PAGEBLOCK_ISO_MASK ||
	       (bits & PAGEBLOCK_MIGRATETYPE_MASK) == MIGRATE_ISOLATE;
#else
	return false;
#endif
}

/*
 * Whether the blocks of a zone have to be looked at, one by one. Without CMA, the kernel
 * does not either, and leaves pins in isolated blocks.
 */
static inline bool zone_is_mixed(struct zone *zone)
{
#ifdef CONFIG_CMA
	return zone_cma_pages(zone) || READ_ONCE(zone->nr_isolate_pageblock);
#else
	return false;
#endif
}

/* Whether the kernel would move a folio elsewhere, because of its block, to pin it. */
static inline bool folio_block_is_movable(struct folio *folio)
{
	unsigned long bits;

	if (!zone_is_mixed(folio_zone(folio)))
		return false;
	bits = folio_block_bits(folio);
	return block_is_cma(bits) || block_is_isolated(bits);
}

#endif /* _PIN_BLOCK_H */
