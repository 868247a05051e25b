//! What the manual pages say that the arguments do not.

/// More about a command, a paragraph each.
pub const NOTES: [(&str, &[&str]); 2] = [
    (
        "init",
        &[
            "The file that is written is the one of --config, else dato-mirror.toml in the working directory; --root and \
             --name are the folder and the mirror's name. On a terminal, what no flag says is asked for. Elsewhere nothing \
             is asked: --root is needed, and a token unless --offline.",
            "Token, environment, rights and folder are looked at before anything is written. Where the service refuses the \
             token or the environment, nothing is. Every key is in the file; those that were not chosen are commented out, \
             with their defaults.",
            "The token itself is never in the configuration. With --save-token it is written to --token-file, readable by \
             its owner alone.",
        ],
    ),
    (
        "completions",
        &[
            "The scripts of bash, zsh and fish ask dato-mirror itself at each TAB, so they know the names of the mirrors in \
             the configuration. Packages install them; else: source <(dato-mirror completions bash) in ~/.bashrc; \
             dato-mirror completions zsh > a folder of $fpath, as _dato-mirror; dato-mirror completions fish > \
             ~/.config/fish/completions/dato-mirror.fish.",
        ],
    ),
];

/// Files that are read or written.
pub const FILES: [(&str, &str); 9] = [
    (
        "./dato-mirror.toml, $XDG_CONFIG_HOME/dato-mirror/config.toml, /etc/dato-mirror/config.toml",
        "The configuration; the first that is there counts, after --config and $DATO_MIRROR_CONFIG. dato-mirror init writes \
         one in which every key is explained. $XDG_CONFIG_HOME is ~/.config when not set.",
    ),
    (
        "/etc/dato-mirror/token",
        "The API token of the system service, as its only line; root's alone. The unit hands it over as a credential.",
    ),
    (
        "$XDG_STATE_HOME/dato-mirror/NAME/index.sqlite",
        "The index: a cache that can be deleted. Each configuration has its own. $XDG_STATE_HOME is ~/.local/state when not \
         set; the system service has /var/lib/dato-mirror.",
    ),
    (
        "NAME.EXT.meta.toml",
        "Metadata of the file NAME.EXT beside it. It is never mirrored itself, nor are the next two.",
    ),
    ("_folder.meta.toml", "Metadata of all files in its folder and below."),
    ("_remote.toml", "Files to fetch from URLs into its folder's mirror."),
    (
        "NAME.LANGUAGE.vtt, NAME.LANGUAGE.srt, NAME.LANGUAGE.m4a",
        "Subtitles and sound beside a video of that NAME: they become tracks of its asset.",
    ),
    (
        "manifest (a key of the configuration)",
        "Written after each run: path, id and URL of each file, for a site build.",
    ),
    ("/usr/share/doc/dato-mirror/config.example.toml", "Every key with its default, where a package was installed."),
];

/// Variables that are read.
pub const ENVIRONMENT: [(&str, &str); 12] = [
    ("DATOCMS_API_TOKEN", "The API token, unless token_file in [api] names a file that holds it."),
    ("DATO_MIRROR_CONFIG", "The configuration file, when there is no --config."),
    ("DATO_MIRROR_ROOT", "The folder to mirror with no configuration file, when there is neither --config nor --root."),
    ("DATO_MIRROR_NAME", "The name of the mirror of --root, when there is no --name."),
    (
        "DATO_MIRROR_API_*, DATO_MIRROR_STATE_*, DATO_MIRROR_STATUS_*",
        "Any key of [api], [state] and [status], in capitals, such as DATO_MIRROR_API_ENVIRONMENT. It goes before the file.",
    ),
    (
        "DATO_MIRROR_*",
        "With --root, any plain key of a mirror, such as DATO_MIRROR_ON_DELETE. Lists are separated by commas.",
    ),
    (
        "CREDENTIALS_DIRECTORY",
        "Where systemd puts the credential datocms_api_token: the token, when nothing else gives one.",
    ),
    ("STATE_DIRECTORY", "Where systemd says that the index is."),
    ("XDG_CONFIG_HOME, XDG_STATE_HOME, HOME", "Where configuration and index are looked for; see FILES."),
    ("HTTPS_PROXY, HTTP_PROXY, ALL_PROXY, NO_PROXY", "Proxies, in either case. One that cannot be used is refused."),
    ("SSL_CERT_FILE, SSL_CERT_DIR", "Certificates of the authorities to trust, in place of the system's."),
    ("NOTIFY_SOCKET, WATCHDOG_USEC, JOURNAL_STREAM", "Set by systemd: what is told to it, and how logs are written."),
];

/// Exit codes of a run.
pub const EXIT_STATUS: [(&str, &str); 6] = [
    ("0", "All is mirrored."),
    (
        "1",
        "Finished, but some files could not be mirrored, which are listed; or broken off by what can pass, such as a full \
         disk.",
    ),
    ("2", "Wrong usage or configuration."),
    ("3", "The API refused the token or the environment, or could not be reached."),
    ("4", "Stopped by a safety guard: nothing was deleted, and the message says how to go on."),
    ("5", "Another instance has this index."),
];

const USUAL: [(&str, &str); 4] = [
    ("0", "Done."),
    ("1", "It could not be done, for the reason that is told."),
    ("2", "Wrong usage or configuration, or there is nothing to show yet."),
    ("3", "The API refused the token or the environment, or could not be reached."),
];
const INIT: [(&str, &str); 4] = [
    ("0", "The configuration was written, and all is well."),
    ("1", "It was written, but something else is to be mended first, which is told; or it could not be written."),
    ("2", "Wrong usage, an answer that is missing, or a file that is there already. Nothing was written."),
    ("3", "The API refused the token or the environment, or could not be reached. Nothing was written."),
];
const DOCTOR: [(&str, &str); 4] = [
    ("0", "All is well, or there are warnings only."),
    ("1", "Something is to be mended."),
    ("2", "Wrong usage or configuration."),
    ("3", "The API refused the token or the environment, or could not be reached."),
];

/// Exit codes of a command.
pub fn exit_status(command: &str) -> &'static [(&'static str, &'static str)] {
    match command {
        "init" => &INIT,
        "doctor" => &DOCTOR,
        _ => &USUAL,
    }
}

/// Examples: of which page, the line, what it does.
pub const EXAMPLES: [(&str, &str, &str); 18] = [
    ("dato-mirror", "dato-mirror demo", "See it work: no account, no token, no network."),
    ("dato-mirror", "dato-mirror init", "Write a configuration, after a few questions."),
    (
        "dato-mirror",
        "dato-mirror --root ./brand --dry-run",
        "Show what would happen to this folder. Nothing is changed.",
    ),
    ("dato-mirror", "dato-mirror --root ./brand --sync-once", "Mirror this folder once, as in CI."),
    ("dato-mirror", "dato-mirror --config brand.toml", "Mirror everything, then watch for changes."),
    (
        "dato-mirror",
        "git diff --name-only HEAD^ -- brand | dato-mirror -c brand.toml --sync-once --files-from -",
        "Mirror only what a commit changed.",
    ),
    ("init", "dato-mirror init", "Ask for everything."),
    (
        "init",
        "dato-mirror init --root ./brand --token-file ~/.config/dato-mirror/token --save-token < token.txt",
        "Ask nothing; keep the token in a file that only its owner can read.",
    ),
    (
        "init",
        "dato-mirror init --root ./brand --on-delete tag --offline --print",
        "Show a configuration. Nothing is asked or written.",
    ),
    ("status", "dato-mirror -c brand.toml status --format json", "For a script."),
    ("explain", "dato-mirror explain logos/logo.svg", "Its asset, its URL, and why."),
    ("ls", "dato-mirror ls --type image --tag logo --order-by size_DESC", "The largest pictures with a tag first."),
    ("doctor", "dato-mirror -c brand.toml doctor", "Look at everything that can be wrong around the mirror."),
    ("retry", "dato-mirror retry brand/export.mov", "Try one failed file again now."),
    ("retry", "dato-mirror retry --force", "Let the running daemon delete what the guard held back, once."),
    ("demo", "dato-mirror demo --keep --dir ./demo", "Leave the folder behind, to look at it."),
    (
        "sandbox",
        "dato-mirror sandbox --listen 127.0.0.1:3999 --data ./sandbox-data",
        "A media area that survives a restart.",
    ),
    ("completions", "dato-mirror completions fish", "Print the script of a shell."),
];
