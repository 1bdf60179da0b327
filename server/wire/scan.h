/* scan: finding the first byte of a kind, sixteen at a time where the CPU has SSE2. Never reads at or past end. */
#ifndef WIRE_SCAN_H
#define WIRE_SCAN_H

#include "base/base.h"
#ifdef __SSE2__
#include <emmintrin.h>
#endif

static inline bool scan_is_name(unsigned char c)
{
    return (unsigned char) ((c | 0x20) - 'a') < 26 || (unsigned char) (c - '0') < 10 || c == '-';
}

static inline bool scan_is_value(unsigned char c) { return (c >= 0x20 && c != 0x7f) || c == '\t'; }
static inline bool scan_is_target(unsigned char c) { return c > 0x20 && c != 0x7f; }

/* RFC 9110 5.6.2: tchar */
static inline bool scan_is_token(unsigned char c)
{
    static const uint64_t set[4] = { 0x03ff6cfa00000000u, 0x57ffffffc7fffffeu, 0, 0 };
    return set[c >> 6] >> (c & 63) & 1;
}

#ifdef __SSE2__
/* In each lane: c - from <= width, unsigned. */
static inline __m128i scan_within_(__m128i c, char from, char width)
{
    __m128i d = _mm_sub_epi8(c, _mm_set1_epi8(from));
    return _mm_cmpeq_epi8(_mm_min_epu8(d, _mm_set1_epi8(width)), d);
}

static inline unsigned scan_not_name_(__m128i v)
{
    __m128i letter = scan_within_(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 25);
    __m128i other = _mm_or_si128(scan_within_(v, '0', 9), _mm_cmpeq_epi8(v, _mm_set1_epi8('-')));
    return ~(unsigned) _mm_movemask_epi8(_mm_or_si128(letter, other)) & 0xffff;
}

static inline unsigned scan_not_value_(__m128i v)
{
    __m128i control = scan_within_(v, 0, 0x1f), tab = _mm_cmpeq_epi8(v, _mm_set1_epi8('\t'));
    return (unsigned) _mm_movemask_epi8(_mm_or_si128(_mm_andnot_si128(tab, control), _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f))));
}

static inline unsigned scan_not_target_(__m128i v)
{
    return (unsigned) _mm_movemask_epi8(_mm_or_si128(scan_within_(v, 0, 0x20), _mm_cmpeq_epi8(v, _mm_set1_epi8(0x7f))));
}

#define SCAN_BLOCKS_(p, end, stops) \
    for (; (end) - (p) >= 16; (p) += 16) { \
        unsigned stops_ = stops(_mm_loadu_si128((const __m128i *) (const void *) (p))); \
        if (stops_) return (p) + __builtin_ctz(stops_); \
    }
#else
#define SCAN_BLOCKS_(p, end, stops)
#endif

/* Each gives the first byte that is not one of its kind, or end. */
#define SCAN_(kind) \
    static inline const char *scan_##kind(const char *p, const char *end) \
    { \
        SCAN_BLOCKS_(p, end, scan_not_##kind##_) \
        while (p < end && scan_is_##kind((unsigned char) *p)) p++; \
        return p; \
    }

SCAN_(name)      /* letters, digits, "-" */
SCAN_(value)     /* all but control characters; tabs are fine */
SCAN_(target)    /* all but spaces and control characters */

#undef SCAN_

/* RFC 9110 5.5: CR, LF and NUL have no place in a value: what follows one would be a field, or a message, of somebody else's. */
static inline bool scan_breaks_line(const char *p, const char *end)
{
    for (; (p = scan_value(p, end)) < end; p++)
        if (*p == '\r' || *p == '\n' || *p == '\0') return true;
    return false;
}

#endif
