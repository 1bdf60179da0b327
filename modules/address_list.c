/* address_list: a variable that says whether an address is in a list, which stands in a file and may change while the server runs. */
#include "modules/module.h"
#include "eval/networks.h"

struct address_list { struct template *address; struct list_file *list; struct variable variable; };      /* address: NULL: the client's */

static bool get(struct eval *e, const struct variable *v, struct text name, struct text *out)
{
    const struct address_list *l = v->data;
    struct cidr c;
    (void) name;
    if (!l->address) {
        *out = networks_have(l->list, request_of(e)->peer) ? T("1") : T("0");
        return true;
    }
    struct text t = template_render(l->address, e);
    *out = text_find_char(t, '/') < 0 && addr_parse_cidr(t, &c) && networks_have(l->list, &c.base) ? T("1") : T("0");
    return true;
}

static conf_result parse(struct conf *cf, const struct directive *d, void *field)
{
    conf_result why = NULL;
    struct address_list *l = pool_new(cf->pool, struct address_list);
    enum eval_kind kind = variables_kind(variables_here(cf));
    struct text name = cf->words[cf->count - 2], address = cf->count == 4 ? cf->words[1] : kind == EVAL_STREAM ? T("$remote_addr") : T("");
    (void) d, (void) field;
    if (name.n < 2 || name.p[0] != '$') return conf_say(cf, "!invalid variable name \"%.*s\"", TEXT_ARG(name));
    if (address.n && !(l->address = template_compile(cf, address, &why))) return why;
    l->list = networks_of(cf, conf_full_path(cf, cf->words[cf->count - 1], true));
    l->variable = (struct variable) { .name = pool_cstr(cf->pool, text_from(name, 1)), .flags = VAR_CHANGEABLE, .get = get, .data = l,
                                      .help = "1 or 0: whether an address is in a list of address_list." };
    return variables_add(cf, kind, &l->variable);
}

static const struct conf_type type = { .syntax = "[$address] $variable file", .flags = CONF_MULTI, .min = 2, .max = 3, .parse = parse };
static const struct directive rows[] = {
    { .name = "address_list", .type = &type, .where = IN_HTTP | IN_STREAM, .since = "weir",
      .help = "Makes a variable that is 1 when the client's address, or that of $address, is in a list, else 0. The list is a file with an address, network or range (from-to) a line, # and ; begin "
              "comments. It is read again when it changes, by all workers at once and without a reload; a file with a line that is not understood is not taken, an [error] line says which, and the list that was read before stays." },
    { .name = NULL },
};

struct module address_list_module = { .name = "address_list", .rows = rows };
