//! Completions in the real shells: commands, options and values, the names of the configuration's mirrors among them.
//!
//! A shell that is not on the machine is skipped, and that is said.

use std::path::Path;
use std::process::{Command, Stdio};

use crate::support::TestEnv;

/// A configuration with two mirrors, one of which has a space in its name, and a token file that is not there: a service's
/// token is not everybody's to read, and names are to be completed all the same.
fn env() -> TestEnv {
    let env = TestEnv::new();
    std::fs::create_dir(env.home().join("press")).unwrap();
    let text = "[api]\ntoken_file = \"gone\"\n[[mirror]]\nname = \"brand\"\nroot = \"brand\"\n\
                [[mirror]]\nname = \"press kit\"\nroot = \"press\"\n";
    env.config(text);
    std::fs::write(env.home().join("other.toml"), text.replace("brand", "elsewhere")).unwrap();
    env
}

/// What a shell prints for a script, as sorted lines; `None` where there is no such shell.
fn run(env: &TestEnv, shell: &str, options: &[&str], script: &str) -> Option<Vec<String>> {
    let binary = Path::new(env!("CARGO_BIN_EXE_dato-mirror")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let mut command = Command::new(shell);
    command.args(options).args(["-c", script]).current_dir(env.home()).env("PATH", path).env("HOME", env.home());
    for name in ["DATOCMS_API_TOKEN", "DATO_MIRROR_CONFIG", "DATO_MIRROR_ROOT"] {
        command.env_remove(name);
    }
    let output = match command.stdin(Stdio::null()).output() {
        Ok(output) => output,
        Err(error) => {
            skipped(shell, &error);
            return None;
        }
    };
    let (out, told) = (String::from_utf8(output.stdout).unwrap(), String::from_utf8_lossy(&output.stderr));
    assert!(told.is_empty(), "{shell} says {told}\nof {script}\nand prints {out}");
    let mut lines: Vec<String> = out.lines().map(|line| line.trim_end().to_owned()).collect();
    lines.sort();
    Some(lines)
}

#[allow(clippy::print_stderr, reason = "who skips says so")]
fn skipped(shell: &str, error: &std::io::Error) {
    eprintln!("skipped: {shell} cannot be started here ({error}), so its completions were not tried");
}

/// Command lines as words, the last of which is being typed, and all that fits there, sorted.
const LINES: [(&[&str], &[&str]); 11] = [
    (&["sta"], &["status"]),
    (&["ls", "--ty"], &["--type"]),
    (&["ls", "--type", "im"], &["image"]),
    (&["--format", ""], &["json", "markdown", "text"]),
    (&["init", "--on-delete", ""], &["delete", "keep", "tag"]),
    (&["--mirror", "b"], &["brand"]),
    (&["--mirror", ""], &["brand", "press kit"]),
    (&["status", "--mirror", "p"], &["press kit"]),
    (&["-c", "other.toml", "--mirror", ""], &["elsewhere", "press kit"]),
    (&["completions", "z"], &["zsh"]),
    (&["--config", "oth"], &["other.toml"]),
];

fn quoted(words: &[&str]) -> String {
    words.iter().map(|word| format!("'{word}'")).collect::<Vec<_>>().join(" ")
}

#[test]
fn bash_completes_commands_options_and_values() {
    let env = env();
    let ask = |words: &[&str]| {
        let script = format!(
            "source <(dato-mirror completions bash); complete -p dato-mirror > /dev/null || echo unregistered\n\
             COMP_WORDS=(dato-mirror {}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); _dato_mirror\n\
             ((${{#COMPREPLY[@]}})) && printf '%s\\n' \"${{COMPREPLY[@]}}\"; true",
            quoted(words)
        );
        run(&env, "bash", &["--norc", "--noprofile"], &script)
    };
    for (words, expected) in LINES {
        let Some(found) = ask(words) else { return };
        let expected: Vec<String> = expected.iter().map(|word| word.replace(' ', "\\ ")).collect();
        assert_eq!(found, expected, "{words:?}");
    }
    // Bash takes `=` for a word of its own, and replaces only what follows it.
    for (words, expected) in [
        (&["--format", "=", "js"][..], &["json"][..]),
        (&["ls", "--type", "=", "im"], &["image"]),
        (&["--mirror", "=", "pre"], &["press\\ kit"]),
        (&["--mirror", "\"pre"], &["press kit"]),
    ] {
        assert_eq!(ask(words).unwrap(), expected, "{words:?}");
    }
}

#[test]
fn zsh_completes_commands_options_and_values() {
    let env = env();
    for (words, expected) in LINES {
        // The completion system itself runs on a terminal only: what the script hands to it is looked at.
        let script = format!(
            "compdef() {{ print -r -- \"$@\" > registered }}\n\
             compset() {{ return 1 }}\n\
             _files() {{ print -rl -- ${{PREFIX}}*(N) }}\n\
             _describe() {{ local word; for word in \"${{(@P)3}}\"; do print -r -- \"${{word%%:*}}\"; done }}\n\
             source <(dato-mirror completions zsh)\n\
             words=(dato-mirror {}); CURRENT=$#words; PREFIX=$words[-1]; _dato-mirror; true",
            quoted(words)
        );
        let Some(found) = run(&env, "zsh", &["-f"], &script) else { return };
        assert_eq!(found, expected, "{words:?}");
        let registered = std::fs::read_to_string(env.home().join("registered")).unwrap();
        assert_eq!(registered.trim_end(), "_dato-mirror dato-mirror");
    }
    // As a package installs it: the completion system finds it by its name, and the first TAB completes.
    let script = "mkdir functions; dato-mirror completions zsh > functions/_dato-mirror; fpath=($PWD/functions $fpath)\n\
                  autoload -Uz compinit; compinit -u -D; print -r -- $_comps[dato-mirror]\n\
                  compset() { return 1 }\n\
                  _describe() { print -rl -- \"${(@)${(@P)3}%%:*}\" }\n\
                  words=(dato-mirror sta); CURRENT=2; PREFIX=sta; _dato-mirror; true";
    assert_eq!(run(&env, "zsh", &["-f"], script).unwrap(), ["_dato-mirror", "status"]);
}

#[test]
fn fish_completes_commands_options_and_values() {
    let env = env();
    let ask = |line: &str| {
        let script = format!("dato-mirror completions fish | source; complete -C \"dato-mirror {line}\"");
        let lines = run(&env, "fish", &["--no-config"], &script)?;
        Some(lines.iter().map(|line| line.split('\t').next().unwrap().to_owned()).collect::<Vec<_>>())
    };
    for (words, expected) in LINES {
        let Some(found) = ask(&words.join(" ")) else { return };
        assert_eq!(found, expected, "{words:?}");
    }
    assert_eq!(ask("--mirror=p").unwrap(), ["--mirror=press kit"]);
}
