/*
 * chunked: the chunked coding (RFC 9112 7.1). The reader works in place over whatever slices come, the writer makes heads.
 * Strict: CRLF only, hex sizes of at most 16 digits, bounded extensions, checked trailers.
 */
#ifndef WIRE_CHUNKED_H
#define WIRE_CHUNKED_H

#include "wire/h1.h"

enum {
    CHUNKED_LINE_MOST = 1024,          /* bytes of one chunk's extensions */
    CHUNKED_EXTENSIONS_MOST = 16384,   /* of all of a message */
};

enum chunked_result {
    CHUNKED_MORE,       /* all was used, more is needed */
    CHUNKED_DATA,       /* *data_out: a slice of what came in */
    CHUNKED_ROOM,       /* trailers come: give room for them by chunked_room, then go on */
    CHUNKED_TRAILER,    /* c->trailer, in that room */
    CHUNKED_END,        /* the message ends after *used */
    CHUNKED_BAD,        /* why: c->fault */
};

struct chunked {
    uint64_t        left;           /* of the chunk in hand */
    uint8_t         step;
    uint8_t         digits;
    uint16_t        line;           /* bytes of extensions of this chunk */
    uint32_t        extensions;     /* and of all */
    enum fault      fault;
    char           *room;           /* where the trailer section is gathered */
    size_t          room_size, gathered;
    struct h1_parse parse;
    struct field    trailer;
};

void chunked_begin(struct chunked *c);
/* Looks at up to n bytes at p; *used of them are done with. Call again with what is left until CHUNKED_MORE, END or BAD. */
enum chunked_result chunked_next(struct chunked *c, const char *p, size_t n, size_t *used, struct text *data_out);
/* size is the limit of the whole trailer section; room must live as long as the trailers are looked at. */
void chunked_room(struct chunked *c, char *room, size_t size);

enum { CHUNKED_HEAD_MOST = 18 };
/* "1f4\r\n" for a chunk of size bytes (not 0); bytes written. The chunk is to be followed by "\r\n". */
size_t chunked_head(char room[CHUNKED_HEAD_MOST], uint64_t size);
#define CHUNKED_LAST "0\r\n\r\n"       /* when there are no trailers */

#endif
