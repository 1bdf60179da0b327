/* value: what stands in header values. Everything is a slice of the value; nothing is copied. */
#ifndef WIRE_VALUE_H
#define WIRE_VALUE_H

#include "wire/field.h"

/* RFC 9110 5.6.2: not empty, token characters only. */
bool value_is_token(struct text t);

/* RFC 9110 5.6.1: the next element of a comma list, without whitespace around it; empty ones are skipped; commas in
 * quotes do not separate. False: there is none left. */
bool value_next(struct text *rest, struct text *item_out);
/* Is token among the elements, whatever its case? ("close" in Connection) */
bool value_has(struct text list, struct text token);
/* The same by commas alone: where quotes have no meaning (Connection), and what is in them must not hide behind them. */
bool value_names(struct text list, struct text token);
/* RFC 9110 7.6.1: does any Connection among the n fields at v name the field of this name? Then it goes no further. */
bool value_nominates(const struct field *v, size_t n, struct text name);
/* May they name any? The usual "keep-alive" and "close" do not. */
bool value_nominates_any(const struct field *v, size_t n);

/* RFC 9110 5.6.6: takes ";name=value" off *rest, which begins behind an element's own part; a quoted value is without its
 * quotes (backslashes are as they came), a parameter without "=" has an empty value. False: there is none left. */
bool value_parameter_next(struct text *rest, struct text *name_out, struct text *value_out);
/* The part of an element before its parameters; *rest_out: the parameters. */
struct text value_head(struct text item, struct text *rest_out);
/* An element's parameter of that name, whatever its case. */
bool value_parameter(struct text item, struct text name, struct text *value_out);

/* RFC 9110 12.4.2: "1" is 1000, "0.05" is 50; -1: not a weight. */
int value_weight(struct text t);
/* The weight of coding in an Accept-Encoding list: its own, else that of "*", else -1 (not listed). A weight that is not
 * one counts as 0. */
int value_accepts(struct text list, struct text coding);

/* RFC 9111 5.2, RFC 5861. Numbers: -1 when absent; one that is not a number is 0 (stale), one too large 2^31. */
struct value_cache {
    bool    no_store, no_cache, is_private, is_public, must_revalidate, proxy_revalidate, no_transform, only_if_cached,
            immutable, must_understand;
    int64_t max_age, s_maxage, stale_while_revalidate, stale_if_error, max_stale, min_fresh;
};
#define VALUE_CACHE_NONE ((struct value_cache) { .max_age = -1, .s_maxage = -1, .stale_while_revalidate = -1, \
                          .stale_if_error = -1, .max_stale = -1, .min_fresh = -1 })
/* Adds what one line says to *c, which begins as VALUE_CACHE_NONE; the first of equal directives counts. */
void value_cache_control(struct text line, struct value_cache *c);

/* The value of the cookie of that name in a Cookie line (RFC 6265 4.2), read as nginx does: any case, spaces around "="; ","
 * too ends a pair that is not the one, ";" alone ends a value. */
bool value_cookie(struct text line, struct text name, struct text *value_out);

/* RFC 9110 14.1.2, with nginx's answers. */
enum value_ranges { VALUE_RANGES_IGNORED /* send all */, VALUE_RANGES_FINE, VALUE_RANGES_UNSATISFIABLE /* 416 */ };
struct value_range { int64_t from, end; };     /* [from, end) */
/* size: of the whole; most: room in ranges. More than most ranges, or more bytes in all than size: ignored. */
enum value_ranges value_ranges(struct text t, int64_t size, struct value_range *ranges, size_t most, size_t *count_out);

/* RFC 9110 8.8.3. An etag is W/"x" or "x". */
bool value_is_etag(struct text t);
/* RFC 9110 8.8.3.2: strong comparison holds when both are strong and equal, weak one when they are equal but for W/. */
bool value_etag_eq(struct text a, struct text b, bool strong);
/* If-Match (strong) and If-None-Match (weak): "*", or one of the list is etag. etag empty: only "*" matches. */
bool value_etag_in(struct text list, struct text etag, bool strong);

#endif
