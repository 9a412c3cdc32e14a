//! All layers in one, each value with its origin: default < preset < file < `.env` < environment <
//! flags. The map of a higher layer adds to that of a lower one, entry by entry; lists and tables
//! in arrays replace. `TEST_EMAIL` stands apart: a person's account must not displace a service
//! account that any layer names, so it comes in last and only where none does.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use toml::Value;

use super::dot_env::DotEnv;
use super::environment::{self, Rank, TestLogin};
use super::invalid::Invalid;
use super::layer::{Layer, Leaf, Origin, invalid};
use super::shrunk::Text;
use super::{FILE, Sources, presets, read_text, schema};

/// Bytes of a settings file; it bounds every list and map in it too.
pub(super) const FILE_BYTES_MAX: u64 = 1024 * 1024;

/// What was given, by key.
#[derive(Clone)]
pub(super) struct Merged {
    pub(super) leaves: BTreeMap<String, Leaf>,
    pub(super) problems: Vec<Invalid>,
    /// What is read as it stands but may be meant otherwise.
    pub(super) warnings: Vec<String>,
    /// Whether we log in as a person, not as a service account.
    pub(super) is_test_login: bool,
    /// Relative paths start here.
    pub(super) workdir: PathBuf,
    /// The settings file and `.env`, as they were read.
    pub(super) texts: [Text; 2],
}

impl Merged {
    /// Reads every source.
    pub(super) fn collect(sources: &Sources) -> Self {
        let workdir = sources.workdir.as_path();
        let mut merged = Self {
            leaves: BTreeMap::new(),
            problems: Vec::new(),
            warnings: Vec::new(),
            is_test_login: false,
            workdir: workdir.to_owned(),
            texts: Default::default(),
        };
        let dot_env = match sources.is_isolated {
            true => DotEnv::default(),
            false => DotEnv::read(workdir),
        };
        merged.problems.extend(dot_env.problems);
        let doubts = dot_env.doubts.iter().filter(|(name, _)| environment::is_read(name));
        let warnings = doubts.flat_map(|(name, doubts)| {
            doubts.iter().map(move |doubt| format!(".env {name}: {doubt}"))
        });
        merged.warnings.extend(warnings);
        merged.warnings.extend(environment::unread_port(&sources.env, &dot_env.variables));
        for variables in [&sources.env, &dot_env.variables] {
            let near = environment::near_misses(variables).into_iter();
            let warning = |(name, meant)| format!("{name} is not read: did you mean {meant}?");
            merged.warnings.extend(near.map(warning));
        }
        let ranked: [(&BTreeMap<String, String>, Rank); 2] =
            [(&sources.env, Origin::Environment), (&dot_env.variables, Origin::DotEnv)];
        let mut layers = vec![Layer::of_toml(schema::REFERENCE, &Origin::Default, workdir)];
        let (text, layer) = file(sources, &mut merged.problems);
        let keys = dot_env.variables.keys().cloned().collect();
        merged.texts = [text, Text::new(Path::new(".env"), dot_env.text, keys)];
        layers.extend(layer);
        let variables = ranked.iter().rev();
        layers.extend(variables.map(|(vars, rank)| environment::layer(vars, *rank, workdir)));
        layers.push(flags(sources));
        let preset = preset(&layers, workdir, &mut merged.problems);
        layers.splice(1..1, preset);
        layers.into_iter().for_each(|layer| merged.put(layer));
        for (variables, rank) in ranked {
            let login = environment::test_login(variables, rank, workdir);
            merged.put_test_login(login);
            for (name, key) in environment::SHARED {
                let secret = environment::shared(variables, rank, workdir, (name, key));
                merged.put_shared(key, secret);
            }
        }
        merged
    }

    fn put(&mut self, layer: Layer) {
        self.problems.extend(layer.problems);
        if let Some((port, origin)) = layer.port {
            self.put_port(port, origin);
        }
        self.leaves.extend(layer.leaves);
    }

    fn put_port(&mut self, port: u16, origin: Origin) {
        let listen = self.text("control.listen");
        let host = listen.rsplit_once(':').map_or(listen, |(host, _)| host);
        let value = Value::String(format!("{host}:{port}"));
        self.leaves.insert("control.listen".into(), Leaf { value, origin });
    }

    fn put_test_login(&mut self, login: Result<Option<TestLogin>, Invalid>) {
        if !self.text("mirrors.login.email").is_empty() {
            return;
        }
        match login {
            Err(problem) => self.problems.push(problem),
            Ok(None) => {}
            Ok(Some(TestLogin { email, password, origin })) => {
                self.is_test_login = true;
                for (key, text) in [("email", email), ("password", password)] {
                    let leaf = Leaf { value: Value::String(text), origin: origin.clone() };
                    self.leaves.insert(format!("mirrors.login.{key}"), leaf);
                }
            }
        }
    }

    /// A secret under a name of several meanings, where nothing else gives it.
    fn put_shared(&mut self, key: &str, secret: Result<Option<(String, Origin)>, Invalid>) {
        if !self.text(key).is_empty() {
            return;
        }
        match secret {
            Err(problem) => self.problems.push(problem),
            Ok(None) => {}
            Ok(Some((text, origin))) => {
                self.leaves.insert(key.to_owned(), Leaf { value: Value::String(text), origin });
            }
        }
    }

    fn text(&self, key: &str) -> &str {
        self.leaves.get(key).and_then(|leaf| leaf.value.as_str()).unwrap_or_default()
    }
}

/// The file that was named, else the usual one if it is there.
fn file(sources: &Sources, problems: &mut Vec<Invalid>) -> (Text, Option<Layer>) {
    let named = sources.file.as_deref();
    if sources.is_isolated {
        return (Text::default(), None);
    }
    let path = named.unwrap_or(Path::new(FILE));
    match read_text(&sources.workdir.join(path), FILE_BYTES_MAX) {
        Ok(text) => {
            let origin = Origin::File(path.display().to_string());
            let layer = Layer::of_toml(&text, &origin, &sources.workdir);
            let keys = layer.leaves.keys().cloned().collect();
            (Text::new(path, Some(text), keys), Some(layer))
        }
        Err(error) if named.is_none() && error.kind() == std::io::ErrorKind::NotFound => {
            (Text::new(path, None, BTreeSet::new()), None)
        }
        Err(error) => {
            let origin = if named.is_some() { "flag" } else { "default" };
            let expected = format!("expected a readable file: {error}");
            problems.push(invalid("--config", format!("{path:?}"), &origin, expected));
            (Text::default(), None)
        }
    }
}

fn flags(sources: &Sources) -> Layer {
    let mut layer = Layer::new(&sources.workdir);
    for (key, text) in &sources.overrides {
        layer.add_text(key.clone(), text, &Origin::Flag);
    }
    layer
}

/// The preset that the highest layer names.
fn preset(layers: &[Layer], workdir: &Path, problems: &mut Vec<Invalid>) -> Option<Layer> {
    let leaf = layers.iter().rev().find_map(|layer| layer.leaves.get("graph.preset"))?;
    let name = leaf.value.as_str().filter(|name| !name.is_empty())?;
    if let Some(text) = presets::text(name) {
        return Some(Layer::of_toml(text, &Origin::Preset(name.to_owned()), workdir));
    }
    let known: Vec<&str> = presets::names().collect();
    let expected = format!("unknown preset; known: {}", known.join(", "));
    problems.push(invalid("graph.preset", format!("{name:?}"), &leaf.origin, expected));
    None
}
