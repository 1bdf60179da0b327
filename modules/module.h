/*
 * What a module of modules/ needs, in one place: the words of configuration, variables and templates, a request and its
 * response. A module is a struct of values, its rows, and a few functions; it includes no other module.
 *
 *   static const struct directive rows[] = { D_FLAG(struct x_conf, on, "x", IN_HSL, "off", "Does x."), { .name = NULL } };
 *   static const struct http_part part = { .variables = …, .hooks = …, .filters = … };
 *   struct module x_module = { .name = "x", .conf_size = sizeof(struct x_conf), .rows = rows, .part = &part, .part_kind = &http_part_kind };
 *
 * scripts/modules finds every "struct module NAME_module = {" by itself.
 */
#ifndef MODULES_MODULE_H
#define MODULES_MODULE_H

#include "base/clock.h"
#include "config/conf.h"
#include "eval/match.h"
#include "eval/template.h"
#include "http/core_conf.h"
#include "http/module.h"
#include "http/response.h"

#endif
