/* not_modified: conditional requests, RFC 9110 13. */
#include "modules/module.h"
#include "wire/date.h"
#include "wire/value.h"

static bool is_modified_since(const struct request *r, struct text since)
{
    const struct http_core_conf *core = http_core(r);
    time_t modified = response_modified(r), then;
    if (modified == -1 || core->if_modified_since == SINCE_OFF || !date_parse(since, &then)) return true;
    return core->if_modified_since == SINCE_EXACT ? then != modified : then < modified;
}

static bool is_unmodified_since(const struct request *r, struct text since)
{
    time_t modified = response_modified(r), then;
    return modified != -1 && date_parse(since, &then) && then >= modified;
}

static void make_not_modified(struct request *r)
{
    r->out.status = 304;
    r->out.reason = r->out.type = r->out.charset = T("");
    r->out.length = -1;
    r->out.accept_ranges = false;
    fields_remove(&r->out.fields, FIELD_CONTENT_ENCODING);
}

/* Nothing of the response that was meant shows in the page, but what it depends on. */
static void make_failed(struct request *r)
{
    struct fields *f = &r->out.fields;
    unsigned kept = 0;
    for (unsigned i = 0; i < f->n; i++)
        if (f->v[i].id == FIELD_VARY) f->v[kept++] = f->v[i];
    f->n = kept;
    response_clear_etag(r);
    response_clear_modified(r);
    response_refuse(r, 412);
}

static bool head(struct request *r, struct filter_at *at)
{
    (void) at;
    if (r->out.status != 200 || r->main != r || r->out.unconditional) return false;
    const struct field *match = request_field(r, FIELD_IF_MATCH), *none = request_field(r, FIELD_IF_NONE_MATCH);
    const struct field *since = request_field(r, FIELD_IF_MODIFIED_SINCE), *unmodified = request_field(r, FIELD_IF_UNMODIFIED_SINCE);
    if ((unmodified && !is_unmodified_since(r, unmodified->value)) || (match && !value_etag_in(match->value, response_etag(r), true))) {
        make_failed(r);
        return false;
    }
    if (!since && !none) return false;
    if (since && is_modified_since(r, since->value)) return false;
    if (none && !value_etag_in(none->value, response_etag(r), false)) return false;
    make_not_modified(r);
    return false;
}

static const struct filter not_modified = { .name = "not_modified", .head = head };
static const struct filter *const filters[] = { &not_modified, NULL };
static const struct http_part part = { .filters = filters };

struct module not_modified_module = { .name = "not_modified", .part = &part, .part_kind = &http_part_kind };
