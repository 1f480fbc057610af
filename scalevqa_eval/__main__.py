from scalevqa_eval.cli import main

main()
