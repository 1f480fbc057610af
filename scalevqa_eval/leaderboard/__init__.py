"""Leaderboards: results as data (YAML, answers), and the tables and pages made from them."""

from scalevqa_eval.leaderboard.add import Added as Added
from scalevqa_eval.leaderboard.add import Details as Details
from scalevqa_eval.leaderboard.add import add_run as add_run
from scalevqa_eval.leaderboard.board import load_boards as load_boards
from scalevqa_eval.leaderboard.build import build as build
from scalevqa_eval.leaderboard.build import check as check
from scalevqa_eval.leaderboard.build import write as write
