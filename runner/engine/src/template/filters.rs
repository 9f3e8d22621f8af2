//! The table of Ansible's filters; minijinja brings Jinja's own.

use minijinja::Environment;

use super::{data, encode, text};

pub(super) fn add(environment: &mut Environment<'static>) {
    for name in ["default", "d"] {
        environment.add_filter(name, data::default);
    }
    super::chain::add(environment);
    environment.add_filter("bool", data::boolean);
    environment.add_filter("int", data::int);
    environment.add_filter("float", data::float);
    environment.add_filter("string", text::string);
    environment.add_filter("mandatory", data::mandatory);
    environment.add_filter("ternary", data::ternary);
    environment.add_filter("combine", data::combine);
    environment.add_filter("dict2items", data::dict2items);
    environment.add_filter("items2dict", data::items2dict);
    environment.add_filter("flatten", data::flatten);
    environment.add_filter("union", data::union);
    environment.add_filter("intersect", data::intersect);
    environment.add_filter("difference", data::difference);
    environment.add_filter("symmetric_difference", data::symmetric_difference);
    environment.add_filter("extract", data::extract);
    environment.add_filter("type_debug", data::type_debug);
    environment.add_filter("pow", data::pow);
    environment.add_filter("root", data::root);
    environment.add_filter("log", data::log);
    environment.add_filter("product", data::product);
    environment.add_filter("human_readable", text::human_readable);
    environment.add_filter("wordcount", text::wordcount);
    environment.add_filter("center", text::center);
    environment.add_filter("truncate", text::truncate);
    environment.add_filter("join", text::join);
    environment.add_filter("regex_search", text::regex_search);
    environment.add_filter("regex_replace", text::regex_replace);
    environment.add_filter("regex_findall", text::regex_findall);
    environment.add_filter("regex_escape", text::regex_escape);
    environment.add_filter("basename", text::basename);
    environment.add_filter("dirname", text::dirname);
    environment.add_filter("splitext", text::splitext);
    environment.add_filter("realpath", text::realpath);
    environment.add_filter("expanduser", text::expanduser);
    environment.add_filter("path_join", text::path_join);
    environment.add_filter("quote", text::quote);
    environment.add_filter("comment", text::comment);
    environment.add_filter("to_json", encode::to_json);
    environment.add_filter("tojson", encode::to_json);
    environment.add_filter("to_nice_json", encode::to_nice_json);
    environment.add_filter("from_json", encode::from_json);
    environment.add_filter("b64encode", encode::b64encode);
    environment.add_filter("b64decode", encode::b64decode);
    environment.add_filter("hash", encode::hash);
    environment.add_filter("checksum", encode::checksum);
    environment.add_filter("md5", encode::md5);
    environment.add_filter("sha1", encode::checksum);
}
