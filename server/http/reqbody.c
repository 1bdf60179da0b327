#include "http/reqbody.h"
#include "http/core_conf.h"
#include "http/temp.h"
#include <unistd.h>

enum { ROOM_USUAL = 65536 };

bool reqbody_none(const struct request *r)
{
    return r->in_length <= 0 && !r->in_chunked;
}

static struct reqbody *body_of(struct request *r)
{
    if (r->body) return r->body;
    r->body = pool_new(r->pool, struct reqbody);
    r->body->complete = reqbody_none(r);
    return r->body;
}

/* RFC 9110 10.1.1 */
static void answer_expect(struct request *r)
{
    if (r->expect_tested || r->main != r) return;
    r->expect_tested = true;
    if (r->version >= 1001 && text_eq_nocase(request_value(r, FIELD_EXPECT), T("100-continue"))) r->proto->informational(r, 100, NULL);
}

/* ---- the reader begins ---- */

static void choose(struct request *r, int way)
{
    struct reqbody *b = body_of(r);
    b->way = way;
    if (b->complete || b->broken) return;
    answer_expect(r);
    r->proto->want_body(r);
}

/* ---- a file for it ---- */

static void remove_file(void *arg)
{
    unlink(arg);
}

static bool open_file(struct request *r)
{
    const struct http_core_conf *core = http_core(r);
    struct reqbody *b = r->body;
    b->file = temp_open(&core->client_body_temp_path, true, r->pool, r->log, r->about, &b->file_name);
    if (!b->file) return false;
    if (core->client_body_in_file_only != BODY_FILE_ON) pool_cleanup(r->pool, remove_file, (void *) (uintptr_t) b->file_name.p);
    if (core->client_body_in_file_only == BODY_FILE_OFF && !b->in_file)
        request_log(r, L_WARN, 0, "a client request body is buffered to a temporary file %.*s", TEXT_ARG(b->file_name));
    return true;
}

static bool spill(struct request *r)
{
    struct reqbody *b = r->body;
    if (!b->file && !open_file(r)) return false;
    return temp_write(b->file, (off_t) b->chain.bytes, &b->memory, &b->chain, r->log, r->about);
}

/* A file is wanted, even for a body of no bytes, and there is none yet. */
static bool lacks_file(const struct request *r)
{
    const struct reqbody *b = r->body;
    bool announced = r->in_length == 0 || r->in_chunked;
    return !b->file && (b->in_file || (announced && http_core(r)->client_body_in_file_only != BODY_FILE_OFF));
}

/* What was read whole before a file was asked for. */
static bool spill_rest(struct request *r)
{
    struct reqbody *b = r->body;
    chain_move(&b->memory, &b->chain);
    return spill(r);
}

struct verdict reqbody_whole(struct request *r)
{
    struct reqbody *b = body_of(r);
    b->whole = true;
    b->waited_for = false;
    if (b->way != REQBODY_WHOLE) choose(r, REQBODY_WHOLE);
    if (b->broken) return v_reply(b->status ? b->status : 499);
    if (b->complete) return lacks_file(r) && !spill_rest(r) ? v_reply(500) : v_next();
    b->waited_for = true;
    return v_wait();
}

void reqbody_stream(struct request *r, const struct body_sink *sink, void *arg)
{
    struct reqbody *b = body_of(r);
    b->sink = sink;
    b->sink_arg = arg;
    if (!b->complete) {
        choose(r, REQBODY_STREAM);
        return;
    }
    struct chain all = CHAIN_EMPTY;
    b->way = REQBODY_STREAM;
    if (b->whole) chain_share(&all, &b->chain);
    sink->take(r, arg, &all, BODY_FINAL);
}

void reqbody_more(struct request *r)
{
    if (r->body && !r->body->complete && !r->body->broken) r->proto->want_body(r);
}

void reqbody_discard(struct request *r)
{
    struct reqbody *b = body_of(r);
    b->sink = NULL;
    chain_clear(&b->memory);
    choose(r, REQBODY_DISCARD);
}

void reqbody_refuse(struct request *r)
{
    r->expect_tested = true;
    r->keepalive = false;
    r->in_length = 0;
}

void reqbody_discard_unwanted(struct request *r)
{
    if (reqbody_none(r) || (r->body && r->body->way != REQBODY_NOT_YET)) return;
    reqbody_discard(r);
}

size_t reqbody_room(struct request *r)
{
    const struct reqbody *b = r->body;
    if (!b || b->complete || b->broken) return 0;
    switch (b->way) {
    case REQBODY_NOT_YET: return 0;
    case REQBODY_STREAM:  return b->sink->room(r, b->sink_arg);
    default:              return ROOM_USUAL;
    }
}

/* ---- what comes ---- */

struct verdict reqbody_whole_file(struct request *r)
{
    body_of(r)->in_file = true;
    return reqbody_whole(r);
}

void reqbody_file_taken(struct request *r)
{
    pool_cleanup_cancel(r->pool, remove_file, (void *) (uintptr_t) r->body->file_name.p);
}

static void gather(struct request *r, struct chain *in, bool last)
{
    const struct http_core_conf *core = http_core(r);
    struct reqbody *b = r->body;
    chain_move(&b->memory, in);
    bool to_file = b->memory.bytes > core->client_body_buffer_size.bytes || (last && b->file) ||
                   (last && (b->in_file || core->client_body_in_file_only != BODY_FILE_OFF));
    if (to_file && !spill(r)) {
        b->broken = true;
        b->status = 500;
    }
    if (last && !b->broken) chain_move(&b->chain, &b->memory);
}

/* RFC 9110 15.5.14: of a chunked body the size is known when it is there. */
static bool is_too_large(struct request *r)
{
    uint64_t most = http_core(r)->client_max_body_size.bytes;
    if (!r->in_chunked || !most || (uint64_t) r->body->length <= most || r->body->way == REQBODY_DISCARD) return false;
    request_log(r, L_ERR, 0, "client intended to send too large chunked body: %lld bytes", (long long) r->body->length);
    return true;
}

void reqbody_take(struct request *r, struct chain *in, enum body_end end)
{
    struct reqbody *b = body_of(r);
    if (b->complete || b->broken) {
        chain_clear(in);
        return;
    }
    b->length += (int64_t) in->bytes;
    if (end != BODY_BROKEN && is_too_large(r)) {
        end = BODY_BROKEN;
        b->status = 413;
        r->keepalive = false;
    }
    b->complete = end == BODY_FINAL;
    b->broken = end == BODY_BROKEN;
    if (b->way == REQBODY_STREAM) {
        b->sink->take(r, b->sink_arg, in, end);
        return;
    }
    if (b->way == REQBODY_WHOLE && !b->broken) gather(r, in, b->complete);
    chain_clear(in);
    if (b->waited_for && (b->complete || b->broken)) {
        b->waited_for = false;
        request_resume(r);
    }
}

void reqbody_end(struct request *r)
{
    struct reqbody *b = r->body;
    if (!b) return;
    b->sink = NULL;
    b->way = REQBODY_DISCARD;
    chain_clear(&b->chain);
    chain_clear(&b->memory);
    chain_file_drop(&b->file);
}
