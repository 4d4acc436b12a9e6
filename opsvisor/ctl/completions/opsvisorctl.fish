# Completion for fish: opsvisorctl.

# Offers are "kind, word, meaning" with tabs between, see opsvisor/ctl/shell_words.py.
function __opsvisorctl_offers
    set -l program (commandline --tokenize --cut-at-cursor --current-process)[1]
    set -l line (commandline --cut-at-cursor --current-process | string collect)
    env COMP_WORDS="$line" _OPSVISORCTL_COMPLETE=words $program 2>/dev/null | while read --delimiter \t -l kind word says
        switch $kind
            case file
                __fish_complete_path $word
            case word
                printf '%s\t%s\n' $word $says
        end
    end
end

complete --command opsvisorctl --no-files --keep-order --arguments '(__opsvisorctl_offers)'
