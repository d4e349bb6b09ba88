//! The command line: `notturno VERB`.

fn main() -> std::process::ExitCode {
    let arguments: Vec<String> = std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    notturno::cli::run(&arguments)
}
