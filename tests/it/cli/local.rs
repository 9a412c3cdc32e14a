//! Commands that need no instance.

use argon2::password_hash::PasswordHash;
use argon2::{Argon2, PasswordVerifier};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::support::{Desk, until};

#[test]
fn a_hashed_password_verifies_without_the_trailing_newline() {
    let desk = Desk::new();
    for stdin in ["a password\n", "a password\r\n", "a password"] {
        let hash = desk.run_with(&["hash-password", "--stdin"], stdin).ended(0).stdout;
        let hash = PasswordHash::new(hash.trim_end()).expect("PHC");
        assert_eq!(hash.algorithm.as_str(), "argon2id");
        Argon2::default().verify_password(b"a password", &hash).expect("it verifies");
        Argon2::default().verify_password(b"a password\n", &hash).expect_err("the newline");
    }
    let json = desk.run_with(&["hash-password", "--stdin", "--json"], "x").ended(0).json();
    assert!(json["password_hash"].as_str().expect("text").starts_with("$argon2id$"));

    for empty in ["", "\n"] {
        desk.run_with(&["hash-password", "--stdin"], empty).refused(1, "the password is empty");
    }
    let long = "x".repeat(1025);
    desk.run_with(&["hash-password", "--stdin"], &long).refused(1, "longer than 1024 bytes");
    desk.run(&["hash-password"]).refused(2, "--stdin");
}

/// S0 0.7, S1 1.28.
#[test]
fn secrets_are_random_and_of_the_size_asked_for() {
    let desk = Desk::new();
    let secret = |args: &[&str]| {
        let text = desk.run(args).ended(0).stdout;
        STANDARD.decode(text.trim_end()).expect("base64")
    };
    let one = secret(&["secret", "generate"]);
    assert_eq!(one.len(), 48);
    assert_eq!(secret(&["secret", "generate", "--bytes", "32"]).len(), 32);
    let made = desk.run(&["secret", "generate"]).ended(0).stdout;
    for key in ["compat.revalidate_secret", "compat.revalidate_token", "auth.jwt_secret"] {
        let set = format!("{key}={}", made.trim_end());
        let shown = desk.run(&["config", "check", "--set", &set]).ended(0).stderr;
        assert!(!shown.contains("shorter"), "a generated secret is long enough: {shown}");
    }
    assert_ne!(one, secret(&["secret", "generate"]));
    assert_eq!(secret(&["secret", "generate", "--bytes", "1024"]).len(), 1024);
    let signing = desk.run(&["secret", "generate", "--webhook"]).ended(0).stdout;
    let set = format!("alerts.signing_secret={}", signing.trim_end());
    desk.run(&["config", "check", "--set", &set]).ended(0);
    desk.run(&["secret", "generate", "--webhook", "--bytes", "65"]).refused(2, "--bytes");
    for bytes in ["15", "1025", "many"] {
        desk.run(&["secret", "generate", "--bytes", bytes]).refused(2, "--bytes");
    }
}

#[test]
fn config_shows_every_setting_with_its_origin_and_no_secret() {
    let desk = Desk::new();
    let set = ["config", "--set", "auth.admin_token=hunter2hunter2hunter2"];
    let shown = desk.run(&set).ended(0).stdout;
    let line = |key: &str| {
        let found = shown.lines().find(|line| line.split(' ').next() == Some(key));
        found.unwrap_or_else(|| panic!("{key} in\n{shown}"))
    };
    assert!(line("control.listen").ends_with("\"127.0.0.1:4400\"  # default"), "{shown}");
    assert!(line("auth.admin_token").ends_with("***  # flag"), "{shown}");
    assert!(!shown.contains("hunter2"), "{shown}");
    let json = desk.run(&["config", "show", "--json"]).ended(0).json();
    assert_eq!(json.as_array().expect("a list").len(), shown.lines().count());
}

#[test]
fn config_schema_prints_a_json_schema_of_the_file() {
    let schema = Desk::new().run(&["config", "schema"]).ended(0).json();
    let burst = &schema["properties"]["mirrors"]["properties"]["burst"];
    assert_eq!((&burst["type"], &burst["default"]), (&"integer".into(), &20.into()));
}

#[test]
fn a_misspelt_key_exits_78_and_names_the_nearest() {
    let desk = Desk::new();
    desk.run(&["config", "check"]).ended(0);
    std::fs::create_dir(desk.path().join("config")).expect("dir");
    let file = desk.path().join("config/cache-mirror.toml");
    std::fs::write(&file, "[control]\nlissten = \"127.0.0.1:0\"\n").expect("write");
    for command in [&["config", "check"][..], &["serve"]] {
        desk.run(command).refused(78, "control.lissten");
        desk.run(command).refused(78, "did you mean control.listen?");
    }
    let json = desk.run(&["config", "check", "--json"]).ended(78).json();
    assert_eq!(json["problems"][0]["suggestion"], "control.listen");
    let shown = desk.run(&["config", "show"]).ended(78);
    assert!(shown.stdout.contains("control.listen"), "{shown:?}");
}

#[test]
fn config_init_writes_a_file_that_is_valid_and_never_over_another() {
    let desk = Desk::new();
    desk.run(&["config", "init"]).ended(0);
    desk.run(&["config", "check"]).ended(0);
    desk.run(&["config", "init"]).refused(1, "is there already");
    desk.run(&["config", "init", "--config", "other.toml", "--json"]).ended(0).json();
    assert!(desk.path().join("other.toml").exists());
}

#[test]
fn the_bare_command_shows_help_that_leads_with_examples() {
    let desk = Desk::new();
    let help = desk.run(&[]).ended(2).stderr;
    assert!(help.find("Examples:") < help.find("Usage:"), "{help}");
    desk.run(&["--help"]).ended(0);
    assert!(desk.run(&["--version"]).ended(0).stdout.starts_with("cache-mirror "));
    desk.run(&["sevre"]).refused(2, "serve");
}

/// What holds the other end of its stdin may die of anything: the instance must not outlive it.
#[test]
fn an_instance_started_with_the_option_stops_when_its_stdin_closes() {
    let desk = Desk::new();
    let args = ["serve", "--stop-with-stdin", "--set", "control.listen=127.0.0.1:0"];
    let mut server = desk.start(&args);
    server.line_with("listening");
    drop(server.stdin.take());
    assert_eq!(server.end(), (Some(0), String::new()));
    let log = desk.path().join("logs/cache.json");
    until("the log is whole", || {
        std::fs::read_to_string(&log).ok()?.contains("stopped").then_some(())
    });
}

/// What a shell completes and what the manual shows come from the commands: none is forgotten.
#[test]
fn completions_and_man_pages_contain_every_command() {
    let desk = Desk::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = desk.run(&["completions", shell]).ended(0).stdout;
        for word in ["invalidate", "explain", "retry", "token-file"] {
            assert!(script.contains(word), "{word} for {shell}");
        }
        let json = desk.run(&["completions", shell, "--json"]).ended(0).json();
        assert_eq!(json["script"].as_str().map(str::trim_end), Some(script.trim_end()));
    }
    desk.run(&["completions", "csh"]).refused(2, "bash, zsh, fish");
    let page = desk.run(&["man"]).ended(0).stdout;
    assert!(page.contains(".TH cache-mirror 1") && page.contains("cache\\-mirror\\-why(1)"));
    let ping = desk.run(&["man", "mirrors", "ping"]).ended(0).stdout;
    assert!(ping.contains(".TH cache-mirror-mirrors-ping 1") && ping.contains(".SH EXAMPLES"));
    desk.run(&["man", "nothing"]).refused(2, "no command \"nothing\"; see: cache-mirror --help");

    let written = desk.run(&["man", "--dir", "pages", "--json"]).ended(0).json();
    let written = written["written"].as_array().expect("a list").len();
    assert_eq!(std::fs::read_dir(desk.path().join("pages")).expect("pages").count(), written);
    assert!(desk.path().join("pages/cache-mirror-config-check.1").exists());
    std::fs::write(desk.path().join("file"), "").expect("write");
    desk.run(&["man", "--dir", "file"]).refused(1, "cannot write to file");
}

/// Bash can read the script, and it completes every part of a command.
#[test]
fn the_printed_completion_works_in_bash() {
    let desk = Desk::new();
    let script = desk.run(&["completions", "bash"]).ended(0).stdout;
    std::fs::write(desk.path().join("it.bash"), script).expect("write");
    for (words, completed) in [
        (&["expl"][..], "explain"),
        (&["mirrors", "p"], "pause ping"),
        (&["config", "c"], "check"),
        (&["hash-password", "--st"], "--stdin"),
        (&["mirrors", "limit", "--bu"], "--burst"),
    ] {
        let last = words.last().expect("a word");
        let typed = format!(
            "source ./it.bash; COMP_WORDS=(cache-mirror {}); COMP_CWORD={}; \
             $(complete -p cache-mirror | sed 's/.*-F \\([^ ]*\\).*/\\1/') \
             cache-mirror {last} cache-mirror; echo ${{COMPREPLY[@]}}",
            words.join(" "),
            words.len(),
        );
        let shell = std::process::Command::new("bash")
            .args(["-c", &typed])
            .current_dir(desk.path())
            .output()
            .expect("bash runs");
        assert_eq!(String::from_utf8_lossy(&shell.stdout).trim(), completed, "{shell:?}");
    }
}

/// stdout is the one line that scripts wait for; what a person needs first is on stderr.
#[test]
fn a_start_prints_where_its_files_and_addresses_are() {
    let desk = Desk::new();
    let mut command = desk.command(&["serve", "--set", "control.listen=127.0.0.1:0"]);
    command.args(["--set", "mirrors.peers=[{ name = \"eu\", url = \"http://127.0.0.1:1\" }]"]);
    let mut server = super::support::Running::from(command);
    let line = server.line();
    let url = line.strip_prefix("listening control=").expect("the line of the contract");
    server.signal("TERM");
    let (code, shown) = server.end();
    assert_eq!(code, Some(0));
    for (what, text) in [
        ("dashboard", &*format!("{url}/dashboard")),
        ("admin token", "admin.token"),
        ("mirrors", "eu"),
        ("log", "logs/cache.json"),
    ] {
        let is_it = |line: &str| line.starts_with(what) && line.contains(text);
        assert!(shown.lines().any(is_it), "{what} in {shown}");
    }
}
