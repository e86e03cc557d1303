# Completion of actbench in fish: actbench completion fish | source
function __actbench_completion
    set -l words (commandline -opc)
    set -lx _ACTBENCH_COMPLETE fish
    $words[1] $words[2..-1] (commandline -ct) 2>/dev/null
end
complete --command actbench --no-files --arguments '(__actbench_completion)'
